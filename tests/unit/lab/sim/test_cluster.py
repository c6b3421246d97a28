"""A thousand nodes at once: flows stay where they were put, and every byte is served, dropped or held."""

import numpy as np
import pytest

from sentinel_api.errors import Invalid
from sentinel_lab.sim.cluster import STEP_S, Cluster, Flows, Heard, even, placed

DRAIN, LIMIT = 1_000_000.0, 50_000.0


class ByKey:
    def __init__(self, nodes: int) -> None:
        self._nodes = nodes

    def place(self, key, _heard: Heard):
        return (key % np.uint64(self._nodes)).astype(np.int64)


class ByRoom:
    """The node with the most published room, the next flow of the step to the next."""

    def place(self, key, heard: Heard):
        return np.argsort(-heard.headroom_bytes, kind="stable")[: len(key)]


def flows(count: int, nodes: int, rate: float, seed: int = 1) -> Flows:
    random = np.random.default_rng(seed)
    first = np.sort(random.integers(0, 100, count))
    return Flows(
        first, first + random.integers(1, 50, count), np.full(count, rate), random.integers(0, 2**63, count, np.uint64)
    )


def test_a_thousand_nodes_lose_no_byte_unaccounted():
    fleet = even(1_000, DRAIN, LIMIT)
    mine = flows(20_000, 1_000, 120_000.0)
    found = placed(fleet, mine, ByKey(1_000))
    sent = ((mine.last - mine.first) * mine.bytes_per_s).sum() * STEP_S
    assert found.offered_bytes.sum() == pytest.approx(sent)
    assert found.offered_bytes.sum() == pytest.approx(
        found.node_served_bytes.sum() + found.dropped_bytes.sum() + found.held_bytes[-1]
    )
    assert 0 < found.drop_share < 1


def test_seeing_where_room_is_loses_less_than_not_looking():
    fleet = even(50, DRAIN, LIMIT)
    mine = flows(2_000, 50, 140_000.0)
    assert placed(fleet, mine, ByRoom()).drop_share < placed(fleet, mine, ByKey(50)).drop_share


def test_what_is_published_is_as_old_as_it_is_said_to_be():
    cluster = Cluster(even(2, DRAIN, LIMIT), age_steps=2)
    at_first = cluster.heard().headroom_bytes[0]
    cluster.join(np.array([0]), np.array([DRAIN]))
    for _ in range(2):
        cluster.step()
        assert cluster.heard().headroom_bytes[0] == at_first
    cluster.step()
    assert cluster.heard().headroom_bytes[0] == pytest.approx(LIMIT)


def test_a_flow_takes_its_load_away_when_it_ends():
    cluster = Cluster(even(1, DRAIN, LIMIT))
    cluster.join(np.array([0, 0]), np.array([400_000.0, 300_000.0]))
    cluster.leave(np.array([0]), np.array([400_000.0]))
    offered, _, _ = cluster.step()
    assert offered[0] == pytest.approx(30_000)
    assert cluster.heard().flows[0] == 1


def test_a_node_that_is_down_loses_what_it_holds_and_is_offered():
    cluster = Cluster(even(1, DRAIN, LIMIT))
    cluster.join(np.array([0]), np.array([1.2 * DRAIN]))
    cluster.step()
    held = cluster.backlog[0]
    cluster.alive[:] = False
    _, served, dropped = cluster.step()
    assert served[0] == 0
    assert dropped[0] == pytest.approx(held + 1.2 * DRAIN * STEP_S)


def test_waits_are_those_of_the_queue_that_was_found():
    """1.2 times the drain for two seconds into a large queue: up to 400 ms."""
    steady = Flows(np.zeros(1, np.int64), np.full(1, 20), np.full(1, 1.2 * DRAIN), np.zeros(1, np.uint64))
    found = placed(even(1, DRAIN, 10 * DRAIN), steady, ByKey(1))
    assert found.drop_share == 0
    assert found.wait_ms(0.5) == pytest.approx(200, rel=0.1)
    assert found.wait_ms(0.99) == pytest.approx(390, rel=0.1)


def test_a_fleet_beyond_its_bounds_is_refused_with_a_sentence():
    with pytest.raises(Invalid, match="1 to 1000 nodes"):
        even(1_001, DRAIN, LIMIT)
    with pytest.raises(Invalid, match="sorted"):
        Flows(np.array([2, 1]), np.array([3, 3]), np.ones(2), np.zeros(2, np.uint64))
