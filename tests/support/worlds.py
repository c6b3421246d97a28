"""Builders of the values that the planner takes; each test names only what it is about."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sentinel_api.names import CLUSTER_LABEL, FINALIZER, ROLE_BUFFER, ROLE_LABEL, ZONE_LABEL
from sentinel_api.v1alpha1.buffercluster import BufferCluster
from sentinel_api.v1alpha1.buffernode import BufferNode
from sentinel_operator.decide.plan import Plan, plan
from sentinel_operator.decide.spares import RoleChange
from sentinel_operator.decide.world import Agents, Node, ScaleObject, World
from sentinel_operator.objects import DRAINING_SINCE, key, signature
from sentinel_operator.render import daemonset
from sentinel_operator.render.base import Release

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
RELEASE = Release(agent_image="registry.test/agent:1")


def cluster(name="front", namespace="default", born_minutes_ago=60, deleted_seconds_ago=None, status=None, **spec):
    meta = {
        "name": name,
        "namespace": namespace,
        "uid": f"uid-{namespace}-{name}",
        "generation": 1,
        "finalizers": [FINALIZER],
        "creationTimestamp": _stamp(NOW - timedelta(minutes=born_minutes_ago)),
    }
    if deleted_seconds_ago is not None:
        meta["deletionTimestamp"] = _stamp(NOW - timedelta(seconds=deleted_seconds_ago))
    body = {"apiVersion": "sentinel.io/v1alpha1", "kind": "BufferCluster", "metadata": meta, "spec": spec}
    return BufferCluster.parse(body | ({"status": status} if status else {}))


def node(name, role=ROLE_BUFFER, zone=None, ready=True, taken_by="", **labels):
    known = ({ROLE_LABEL: role} if role else {}) | ({ZONE_LABEL: zone} if zone else {})
    return Node(name, f"uid-{name}", known | labels, ready, taken_by=taken_by)


def report(
    state="Active", seconds_ago=1, tier="B", config_digest=None, ready="True", *, demand=0, points=(), scores=None
):
    """What an agent wrote into its status; `points` are (seconds, p50, p95)."""
    said = [{"horizonSeconds": seconds, "p50": p50, "p95": p95} for seconds, p50, p95 in points]
    return {
        "state": state,
        "dataPlane": {"tier": tier, "reason": "Probed"},
        "configDigest": config_digest,
        "forecast": {
            "seq": 1,
            "observedAt": _stamp(NOW - timedelta(seconds=seconds_ago)),
            "demandBytesPerSecond": demand,
            "points": said,
        },
        "scores": scores,
        "conditions": [
            {"type": "Ready", "status": ready, "reason": "Ticking", "lastTransitionTime": _stamp(NOW)},
        ],
    }


def buffer_node(name, of, status=None, drained_seconds=None, **spec):
    """`drained_seconds`: for how long it has been under orders to drain."""
    ref = {"namespace": of.metadata.namespace, "name": of.metadata.name}
    body = {
        "apiVersion": "sentinel.io/v1alpha1",
        "kind": "BufferNode",
        "metadata": {"name": name, "ownerReferences": [_node_owner(name)]},
        "spec": {"clusterRef": ref, "configDigest": f"sha256:{'0' * 64}", **spec},
    }
    if drained_seconds is not None:
        since = NOW - timedelta(seconds=drained_seconds)
        body["metadata"]["annotations"] = {DRAINING_SINCE: since.isoformat()}
        body["spec"]["desiredState"] = "Draining"
    return BufferNode.parse(body | ({"status": {k: v for k, v in status.items() if v is not None}} if status else {}))


def world(of=None, nodes=(), buffer_nodes=(), rivals=(), owned=None, agents=None, *, scale=None):
    mine = of or cluster()
    return World(
        cluster=mine,
        clusters=(mine, *rivals),
        nodes=tuple(nodes),
        buffer_nodes=tuple(buffer_nodes),
        owned=owned or {},
        agents=agents or Agents(),
        release=RELEASE,
        now=NOW,
        scale=scale,
    )


def carried_out(before: World) -> tuple[World, Plan]:
    """The world after a perfect `act`, and the plan that made it so."""
    todo = plan(before)
    owned = dict(before.owned)
    buffer_nodes = {b.metadata.name: b for b in before.buffer_nodes}
    for manifest in todo.apply:
        if manifest["kind"] == "BufferNode":
            old = buffer_nodes.get(manifest["metadata"]["name"])
            new = BufferNode.parse(manifest)
            buffer_nodes[new.metadata.name] = new.model_copy(update={"status": old.status if old else None})
        else:
            owned[key(manifest)] = signature(manifest)
    for at in todo.delete:
        owned.pop(at, None)
        if at.kind == "BufferNode":
            buffer_nodes.pop(at.name, None)
    changes = {change.node: change.value for change in todo.relabel}
    nodes = tuple(_relabelled(n, changes[n.name]) if n.name in changes else n for n in before.nodes)
    roles = {change.node: change for change in todo.roles}
    nodes = tuple(_with_role(n, roles[n.name]) if n.name in roles else n for n in nodes)
    meta = before.cluster.metadata
    if todo.finalizer != "keep":
        meta = meta.model_copy(update={"finalizers": (FINALIZER,) if todo.finalizer == "add" else ()})
    spec = before.cluster.spec
    spec = spec if todo.nodes is None else spec.model_copy(update={"nodes": todo.nodes})
    scale = before.scale if todo.replicas is None else ScaleObject(todo.replicas)
    after = replace(
        before,
        cluster=before.cluster.model_copy(update={"metadata": meta, "spec": spec}),
        nodes=nodes,
        buffer_nodes=tuple(buffer_nodes.values()),
        owned=owned,
        scale=scale,
        good_template=_good_template(todo) or before.good_template,
    )
    return after, todo


def _good_template(todo: Plan):
    made = [m for m in todo.apply if m["kind"] == "DaemonSet"]
    return daemonset.good_template(made[0]) if made else None


def _relabelled(old: Node, value: str | None) -> Node:
    labels = {k: v for k, v in old.labels.items() if k != CLUSTER_LABEL}
    return replace(old, labels=labels | ({CLUSTER_LABEL: value} if value else {}))


def _with_role(old: Node, change: RoleChange) -> Node:
    labels = {k: v for k, v in old.labels.items() if k != ROLE_LABEL}
    given = {ROLE_LABEL: change.role} if change.role else {}
    return replace(old, labels=labels | given, taken_by=change.taken_by or "")


def _node_owner(name):
    return {"apiVersion": "v1", "kind": "Node", "name": name, "uid": f"uid-{name}"}


def _stamp(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")
