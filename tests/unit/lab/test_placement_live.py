"""Placement on real packets: the same traffic for all, and the figures that its rounds become."""

import numpy as np
import pytest

from sentinel_lab.bench import placement_live
from sentinel_lab.bench.placement_live import MEASURES, NODES, OURS, SCENARIOS, traffic
from sentinel_lab.failover import plan


def measured(*drops):
    return [dict.fromkeys(MEASURES, 10.0) | {"drop_share": each} for each in drops]


def test_rounds_become_means_and_intervals_around_them():
    ours, theirs = measured(0.0, 0.02), measured(0.1, 0.14)
    told = placement_live.figures({("skewed", OURS): ours, ("skewed", "maglev"): theirs})
    assert told["namespaces.skewed.drop_share_readiness"] == pytest.approx(0.01)
    assert told["namespaces.skewed.p99_ms_maglev"] == pytest.approx(10.0)
    row = placement_live.row("skewed", "maglev", theirs, ours)
    low, high = row["drop_share_95"]
    assert low <= 0.12 <= high
    low, high = row["more_than_ours_95"]
    assert 0.1 <= low <= 0.11 <= high <= 0.12 + 1e-9


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_round_is_the_same_for_every_policy_and_asks_for_less_than_there_is(name):
    one, again = (traffic(SCENARIOS[name], 5, 60.0) for _ in range(2))
    assert all((getattr(one, each) == getattr(again, each)).all() for each in ("first", "last", "key", "busy"))
    assert (one.last > one.first).all()
    rate = 1.05 * 8 * 1000 / placement_live.TICK_S
    asked = (one.last - one.first).sum() / len(one.busy) + one.local
    assert 0.7 < asked * rate / (NODES * placement_live.NODE_BITS) < 0.95


def test_the_busy_node_moves_only_where_the_scenario_says_so():
    assert set(traffic(SCENARIOS["skewed"], 1, 16.0).busy.tolist()) == {0}
    moved = traffic(SCENARIOS["moving_bursts"], 1, 16.0).busy
    assert np.flatnonzero(np.diff(moved)).tolist() == [199, 399, 599]


def test_every_port_belongs_to_one_use_and_to_the_class():
    found = plan.ports(NODES)
    assert len(set(found)) == len(found) == 1 + 2 * NODES
    (match,) = plan.agent()["trafficClasses"][0]["match"]
    assert all(match["port"] <= each <= match["endPort"] for each in found)
