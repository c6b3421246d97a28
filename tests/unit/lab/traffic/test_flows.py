"""Each flow type has a shape of its own, told by how unevenly its packets come."""

import numpy as np
import pytest

from sentinel_lab.traffic.flows import SHAPES
from sentinel_lab.traffic.patterns import schedule

SECONDS = 60.0


def unevenness(name: str, bin_s: float) -> float:
    """Variance over mean of counts in bins: 1 is chance, more comes in lumps."""
    counts, _ = np.histogram(schedule(name, SECONDS, seed=1).times_s, bins=np.arange(0, SECONDS, bin_s))
    return float(counts.var() / counts.mean())


@pytest.mark.parametrize("name", SHAPES)
def test_times_are_in_order_within_the_run_and_by_seed(name):
    one, again, other = (schedule(name, SECONDS, seed=seed).times_s for seed in (1, 1, 2))
    assert (np.diff(one) >= 0).all()
    assert one[0] >= 0
    assert one[-1] < SECONDS
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_pipelined_requests_come_in_lumps_and_tokens_evenly():
    assert unevenness("cache", 0.001) > 20
    assert unevenness("llm", 0.001) < 3


def test_telemetry_comes_at_the_top_of_the_second():
    phase = schedule("telemetry", SECONDS).times_s % 1.0
    assert np.mean((phase < 0.1) | (phase > 0.9)) > 0.99


def test_scale_asks_for_more_of_the_same():
    once, twice = (schedule("database", SECONDS, seed=1, scale=scale).times_s.size for scale in (1.0, 2.0))
    assert twice / once == pytest.approx(2.0, rel=0.15)
