"""A BufferNode stays small, however much its agent has to say."""

import json
from datetime import UTC, datetime

from sentinel_api import crdgen
from sentinel_api.v1alpha1.buffernode import (
    HORIZONS_SECONDS,
    BufferNode,
    BufferNodeSpec,
    BufferNodeStatus,
    BufferState,
    ClusterRef,
    DataPlaneStatus,
    ForecastPoint,
    NodeForecast,
    Scores,
    Versions,
)
from sentinel_api.v1alpha1.conditions import NodeCondition
from sentinel_api.v1alpha1.kinds import ObjectMeta, OwnerReference

DIGEST = "sha256:" + "a" * 64
UID = "12345678-1234-1234-1234-123456789012"
LIMIT_BYTES = 2048


def _largest(schema):
    """The longest value that a schema allows; free text as ASCII, maps do not occur."""
    kind = schema["type"]
    if "enum" in schema:
        return max(schema["enum"], key=len)
    if kind == "object":
        return {name: _largest(below) for name, below in schema["properties"].items()}
    if kind == "array":
        return [_largest(schema["items"])] * schema["maxItems"]
    if kind == "integer":
        return schema["maximum"]
    if kind == "boolean":
        return False
    return "x" * schema["maxLength"]


def test_the_longest_status_that_an_agent_may_write_fits():
    schema = crdgen.crd(BufferNode)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]
    assert _size(_largest(schema["status"])) <= LIMIT_BYTES


def test_a_node_in_trouble_fits_as_a_whole():
    """Everything is filled in, and most conditions have something to complain about."""
    at = datetime(2030, 1, 31, 12, tzinfo=UTC)
    conditions = tuple(
        NodeCondition(
            type=kind,
            status="False" if trouble else "True",
            reason="ForeignProgramAttached" if trouble else "Working",
            message="eth0 has a foreign XDP program: remove it or name another device" if trouble else "",
            observed_generation=12,
            last_transition_time=at,
        )
        for kind, trouble in (
            ("DataPlaneReady", True),
            ("ForecastReady", False),
            ("Ready", True),
        )
    )
    points = tuple(ForecastPoint(horizon_seconds=ahead, p50=10**9, p95=2 * 10**9) for ahead in HORIZONS_SECONDS)
    node = BufferNode(
        metadata=ObjectMeta(
            name="ip-10-20-30-40.ec2.internal",
            uid=UID,
            resource_version="123456789",
            creation_timestamp=at,
            generation=12,
            owner_references=(
                OwnerReference(api_version="v1", kind="Node", name="ip-10-20-30-40.ec2.internal", uid=UID),
            ),
        ),
        spec=BufferNodeSpec(cluster_ref=ClusterRef(namespace="sentinel-system", name="front"), config_digest=DIGEST),
        status=BufferNodeStatus(
            observed_generation=12,
            config_digest=DIGEST,
            state="Active",
            versions=Versions(agent="1.12.3", kernel="6.1.119-129.201.amzn2023.x86_64", abi=3),
            data_plane=DataPlaneStatus(tier="C", reason="ForeignProgramAttached"),
            forecast=NodeForecast(seq=10**6, observed_at=at, demand_bytes_per_second=10**9, points=points),
            buffer=BufferState(pool_bytes=10**7, granted_bytes=10**7, held_bytes=10**7, dropped_packets=10**9),
            scores=Scores(hits=999, misses=999, false_alarms=999, precision_percent=99, lead_time_millis=9_999),
            conditions=conditions,
        ),
    )
    assert _size(node.manifest()) <= LIMIT_BYTES
    assert BufferNode.parse(node.manifest()) == node


def _size(value):
    return len(json.dumps(value, separators=(",", ":")))
