"""The operator hears in the mesh what nodes expect, before they write it down: on loopback, with the real engine."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from sentinel_api.records import Demand, Flag, NodeState, Role, Share, Tier
from sentinel_mesh.mesh import Mesh
from sentinel_mesh.place import Place
from sentinel_operator.due import ClusterName
from sentinel_operator.mesh import HEARD_AT_MOST, Ear
from sentinel_operator.render.base import Owner
from support.cluster.control_plane import free_ports
from support.cluster.processes import wait_until

OWNER = Owner("default", "front", "uid")
NOW = datetime(2030, 1, 1, tzinfo=UTC)
DEMAND = Demand(1_000, (2_000, 2_000, 3_000, 3_000), (4_000, 4_000, 5_000, 6_000))


@pytest.fixture
def port():
    return free_ports("127.0.0.1", 1)[0]


@pytest.fixture
def node(port):
    """A node of the mesh that says what it is told to say."""
    place = Place(OWNER.label, "n1", 1, (f"tcp/127.0.0.1:{port}",))
    made = Mesh(place, lambda flags, seq: NodeState(1, seq, Tier.B, Role.BUFFER, flags, demand=DEMAND))
    yield made
    made.close()


@pytest.fixture
def ear(port):
    made = Ear(port, host=lambda _: "127.0.0.1")
    yield made
    made.close()


def heard(ear, nodes=1):
    return asyncio.run(ear.heard(OWNER, nodes, NOW))


def test_it_hears_what_a_node_expects_and_only_from_nodes_that_foresee(node, ear):
    found = {}

    def spoken(flags):
        node.offer(flags)
        now = heard(ear)
        found.update(now)
        return now

    wait_until("the node is heard", lambda: spoken(Flag(0)), 60)
    said = found["n1"]
    assert (said.demand_bytes_per_second, [point.p50 for point in said.points]) == (1_000, [2_000, 2_000, 3_000, 3_000])
    assert [point.p95 for point in said.points] == [4_000, 4_000, 5_000, 6_000]
    assert NOW - timedelta(seconds=1.1) <= said.observed_at <= NOW
    wait_until("its forecast is gated", lambda: not spoken(Flag.FORECAST_GATED), 60)


def test_a_node_that_falls_silent_is_heard_no_more(node, ear):
    def spoken():
        node.offer(Flag(0))
        return heard(ear)

    wait_until("the node is heard", spoken, 60)
    wait_until("it is not", lambda: not heard(ear), 60)


@pytest.mark.parametrize(
    ("amounts", "served"),
    [
        pytest.param({"n1": (7,) + (0,) * 15, "n2": (0,) * 16}, {"n1"}, id="traffic goes to one"),
        pytest.param({"n1": (0,) * 16, "n2": (0,) * 16}, {"n1", "n2"}, id="there is no traffic"),
    ],
)
def test_it_hears_whom_balancers_send_traffic_to(node, ear, amounts, served):
    def said():
        node.offer(Flag(0))
        node.share(Share(1, 1, amounts))
        heard(ear)
        return ear.served(ClusterName(OWNER.namespace, OWNER.name)) == served

    assert ear.served(ClusterName(OWNER.namespace, OWNER.name)) is None
    wait_until("the share is heard", said, 60)


def test_a_large_cluster_is_not_listened_to(ear):
    assert heard(ear, HEARD_AT_MOST + 1) == {}
    assert not ear._meshes
