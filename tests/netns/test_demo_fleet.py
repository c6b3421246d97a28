"""Several nodes: the product's agents behind its balancer, and every packet of the clients accounted for."""

from __future__ import annotations

import os

import pytest

from sentinel_api.errors import Transient
from sentinel_lab import fleet
from sentinel_lab.experiment import Plan
from sentinel_lab.namespaces import NAMES, Namespace
from sentinel_lab.scenario import SINGLE
from sentinel_lab.topology import built, run
from support.netns import need_data_plane, wait_until

ATTEMPTS = 3


@pytest.fixture(autouse=True)
def _able() -> None:
    need_data_plane()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_balancer_spreads_the_bursts_over_nodes_that_each_make_room():
    seen: list[int] = []

    def look(_history: object, _start_ns: int, nodes: dict[str, object]) -> None:
        seen.append(len(nodes))

    lacking = []
    for _ in range(ATTEMPTS):
        lacking.append(lacks(fleet.carried_out(Plan(SINGLE, "periodic", "predictive", 6.0), 2, look)))
        if not lacking[-1]:
            break
    assert not lacking[-1], lacking
    assert set(seen) == {2}
    assert not [each.name for each in NAMES.iterdir() if each.name.startswith(f"sn-{os.getpid()}-")]


def lacks(found: fleet.FleetRun) -> list[str]:
    """Eight busy processes are more than two cores are good for: one of a few runs must have everything."""
    arrived = [history.of(1)[-1].arrived_packets for history in found.nodes.values()]
    facts = {
        "every packet is on an account": all(each.sent == each.received + each.dropped for each in found.whole.classes),
        "every packet came to a node": sum(arrived) == found.whole.bursty.sent,
        "no node was left out": min(arrived) > 0.2 * sum(arrived),
        "every node made room": all(
            history.series(1, "limit_bytes").max() > 4 * SINGLE.floor_bytes for history in found.nodes.values()
        ),
    }
    return [fact for fact, holds in facts.items() if not holds]


def test_a_fleet_has_every_backend_within_reach_of_its_nodes():
    topology = fleet.fleet(nodes=3, balancers=2, backends=2)
    assert {"edge1", "edge2", "node3", "backend2", "sender"} <= set(topology.roles)
    with built(topology) as spaces:
        for node in ("node1", "node2"):
            wait_until(lambda node=node: answered(spaces[node]), f"the way from {node} to its backend")


def answered(space: Namespace) -> bool:
    """The ports of a switch take part a moment after they were plugged in."""
    try:
        run("ip", "netns", "exec", space.name, "ping", "-c1", "-W5", fleet.VIP)
    except Transient:
        return False
    return True
