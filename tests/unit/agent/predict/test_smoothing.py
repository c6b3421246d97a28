"""The forecaster that needs nothing: level, trend, and an honest spread."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel_agent.predict.smoothing import Smoothing
from sentinel_api.records import CLASSES
from sentinel_core.forecast import P50, P95
from sentinel_core.sample import PERIOD_NS, Snapshot, between, no_queues


def samples(bytes_a_tick):
    """What a class 1 with so many bytes in each tick would be seen as."""
    total = 0
    before = _snapshot(0, 0)
    for tick, added in enumerate(bytes_a_tick, start=1):
        total += added
        after = _snapshot(tick * PERIOD_NS, total)
        yield between(before, after, no_queues())
        before = after


def _snapshot(t_ns, total):
    columns = {name: np.zeros(CLASSES, np.uint64) for name in ("bytes", "packets", "new_flows", "syns", "drops")}
    columns["bytes"][1] = total
    return Snapshot(t_ns=t_ns, **columns)


def last(bytes_a_tick):
    forecaster = Smoothing()
    for sample in samples(bytes_a_tick):
        forecast = forecaster.predict(sample)
    return forecast


def test_steady_traffic_is_expected_to_stay():
    forecast = last([1000] * 300)
    assert forecast.demand[1, :, P50] == pytest.approx([10_000] * 4, rel=0.01)
    assert forecast.demand[1, :, P95] == pytest.approx([10_000] * 4, rel=0.05)


def test_a_ramp_is_carried_on_for_a_while_only():
    forecast = last(range(0, 30_000, 100))
    now = 300_000
    assert forecast.demand[1, 0, P50] > now * 1.2
    assert forecast.demand[1, 3, P50] == forecast.demand[1, 0, P50], "no trend of seconds holds for five minutes"


def test_erratic_traffic_is_told_with_a_wide_spread():
    steady, erratic = last([1000] * 300), last([0, 2000] * 150)
    spread = [f.demand[1, 0, P95] - f.demand[1, 0, P50] for f in (steady, erratic)]
    assert spread[1] > 5 * spread[0] + 1000


def test_it_never_claims_to_know_when_a_burst_comes():
    assert not last([0, 5000] * 50).hazard.any()


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=40))
def test_whatever_comes_the_quantiles_are_ordered_and_not_negative(ticks):
    demand = last(ticks).demand
    assert np.isfinite(demand).all()
    assert (demand >= 0).all()
    assert (np.diff(demand, axis=2) >= 0).all()
