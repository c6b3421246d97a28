"""Several nodes: the product's agents behind its balancer, and every packet of the clients accounted for."""

from __future__ import annotations

import os

import pytest

from sentinel_lab import fleet
from sentinel_lab.experiment import Plan
from sentinel_lab.namespaces import NAMES
from sentinel_lab.scenario import SINGLE
from sentinel_lab.topology import built, run
from support.netns import need_data_plane


@pytest.fixture(autouse=True)
def _able() -> None:
    need_data_plane()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_balancer_spreads_the_bursts_over_nodes_that_each_make_room():
    seen: list[int] = []

    def look(_history: object, _start_ns: int, nodes: dict[str, object]) -> None:
        seen.append(len(nodes))

    found = fleet.carried_out(Plan(SINGLE, "periodic", "predictive", 6.0), 2, look)
    for each in found.whole.classes:
        assert each.sent == each.received + each.dropped
    arrived = [history.of(1)[-1].arrived_packets for history in found.nodes.values()]
    assert sum(arrived) == found.whole.bursty.sent
    assert min(arrived) > 0.2 * sum(arrived), "a node was left out"
    assert all(history.series(1, "limit_bytes").max() > 4 * SINGLE.floor_bytes for history in found.nodes.values())
    assert set(seen) == {2}
    assert not [each.name for each in NAMES.iterdir() if each.name.startswith(f"sn-{os.getpid()}-")]


def test_a_fleet_has_every_backend_within_reach_of_its_nodes():
    topology = fleet.fleet(nodes=3, balancers=2, backends=2)
    assert {"edge1", "edge2", "node3", "backend2", "sender"} <= set(topology.roles)
    with built(topology) as spaces:
        for node in ("node1", "node2"):
            run("ip", "netns", "exec", spaces[node].name, "ping", "-c1", "-W20", fleet.VIP)
