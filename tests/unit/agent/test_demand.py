"""What a node says that it carries, in its status and in the mesh, and what who adds nodes makes of it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from sentinel_agent.mesh import Told, state
from sentinel_agent.node import Intent
from sentinel_agent.report import status
from sentinel_api.v1alpha1.buffernode import Versions
from sentinel_api.v1alpha1.nodeconfig import NodeConfig
from sentinel_api.wire import pack_state, unpack_state
from sentinel_core.carried import Carried
from sentinel_core.sample import PERIOD_NS
from sentinel_operator.decide import growth
from sentinel_operator.mesh import forecast
from sentinel_operator.predict import at_horizon
from support.agent_life import lived
from support.samples import sample
from support.ticks import tick, with_lane

A_SECOND = 10**9 // PERIOD_NS
AT = datetime(2026, 1, 1, tzinfo=UTC)


def both_ways(made):
    """What the operator takes for a node's present demand: by its status, and by the mesh."""
    by_mesh = forecast(unpack_state(pack_state(state(Told(made), 7, 1))), AT)
    return [at_horizon(said, 0).now for said in (status(made, Versions()).forecast, by_mesh)]


def test_the_operator_hears_the_mean_either_way_whatever_the_last_tick_brought():
    made = with_lane(tick(), carried_bps=4_096.0)
    assert made.arrivals_bps > 10**9
    assert both_ways(made) == pytest.approx([4_096, 4_096], rel=0.01)
    two = tick(names=("eth0", "eth1"))
    two = replace(two, lanes=tuple(replace(lane, carried_bps=4_096.0) for lane in two.lanes))
    assert both_ways(two) == pytest.approx([8_192, 8_192], rel=0.01)


def test_what_the_node_has_left_is_still_of_the_last_tick():
    """A balancer asks ten times a second who is full now."""
    busy, calm = with_lane(tick(), carried_bps=0.0), with_lane(tick(), carried_bps=1e12)
    assert state(Told(busy), 7, 1).load == state(Told(calm), 7, 1).load > 0


def test_the_mean_is_of_the_reports_period_that_was_ordered_last(monkeypatch):
    brains = []
    for orders in ([30], [10, 30], [30, 10]):
        lived(monkeypatch, *(Intent(NodeConfig(), "Active", 1, seconds) for seconds in orders), brains=brains)
    means = []
    for each in brains:
        for step in range(30 * A_SECOND):
            each.carried.step(sample(step, packets=3 if step < 10 * A_SECOND else 0))
        means.append(each.carried.bps)
    assert means == [sample(0, packets=1).per_second("bytes").sum()] * 2 + [0]


def test_waves_that_repeat_are_no_growth_to_who_adds_nodes():
    """Waves of 10.2 s beside a look every ten seconds: what one period says rises for minutes, and nothing grew."""
    made, risen = Carried(), {"mean": [], "a period": []}
    points = dict.fromkeys(risen, ())
    for step in range(6_000):
        wave = sample(step, packets=round(100 + 90 * np.sin(2 * np.pi * step / 102)))
        made.step(wave)
        if (step + 1) % (10 * A_SECOND) == 0:
            at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=step / A_SECOND)
            for name, told in (("mean", made.bps), ("a period", float(wave.per_second("bytes").sum()))):
                points[name] = growth.kept(points[name], growth.Seen(at, told))
                risen[name].append(growth.rise(points[name], 120))
    assert max(risen["a period"]) > 0.5, "this proves nothing: one period would have done"
    assert max(risen["mean"]) < 0.05
