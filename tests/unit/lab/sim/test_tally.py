"""Times in the queue follow from what entered and what left, and the fine histogram folds into the kernel's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel_bpf.buffer.port import sojourn_bounds_us
from sentinel_lab.sim.tally import BUCKETS, Tally, buckets, quantile_us

STEP_S = 0.001


def tally(accepted: list[float], served: list[float], from_s: float = 0.0, stretch: int = 1000) -> Tally:
    made = Tally(1, STEP_S, from_s)
    enter, leave = (np.array(each, np.float64)[:, None] for each in (accepted, served))
    for start in range(0, len(enter), stretch):
        part = slice(start, start + stretch)
        made.add(start * STEP_S, enter[part], leave[part], np.zeros_like(enter[part]), np.full_like(enter[part], 7.0))
    return made


@pytest.mark.parametrize("stretch", [7, 1000])
def test_in_a_constant_overload_waits_grow_as_the_queue_does(stretch):
    """200 bytes a step for 100 steps into a drain of 100: the last byte waits 100 ms, half of them over 50 ms."""
    found = tally([200.0] * 100 + [0.0] * 100, [100.0] * 200, stretch=stretch).figures(0, 1.0)
    assert found.sojourn_ms(0.5) == pytest.approx(50, rel=0.03)
    assert found.sojourn_ms(0.99) == pytest.approx(99, rel=0.03)
    assert found.held_peak == pytest.approx(10_000)
    assert found.held_mean == pytest.approx(5_000, rel=0.02)


def test_what_passes_at_once_waits_for_nothing():
    assert tally([100.0] * 50, [100.0] * 50).figures(0, 1.0).sojourn_ms(1.0) <= 0.002


def test_the_warm_up_is_in_no_figure():
    found = tally([200.0] * 100 + [0.0] * 100, [100.0] * 200, from_s=0.15).figures(0, 1.0)
    assert found.sent_bytes == 0
    assert found.histogram.sum() == 0
    assert found.served_bytes == pytest.approx(50 * 100)


@given(st.floats(1.0, 1e9))
def test_the_fine_buckets_fold_into_the_kernels(wait_us):
    bounds = sojourn_bounds_us(128)
    folded = int(buckets(np.array([wait_us]))[0]) // 4
    assert bounds[folded] <= wait_us < bounds[folded + 1] * (1 + 1e-12)


@given(st.lists(st.floats(1.0, 1e7), min_size=1, max_size=50), st.sampled_from([0.5, 0.95, 0.99]))
def test_a_quantile_is_right_to_a_sixteenth(waits, quantile):
    histogram = np.bincount(buckets(np.array(waits)), minlength=BUCKETS).astype(np.float64)
    exact = float(np.quantile(waits, quantile, method="inverted_cdf"))
    assert exact * (1 - 1 / 16) <= quantile_us(histogram, quantile) <= exact * (1 + 1 / 16) + 1e-9
