"""Times in the queue, from buckets back to microseconds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel_bpf.buffer.port import sojourn_bounds_us, sojourn_quantile_us

BUCKETS = 96


def bucket_of(microseconds: int) -> int:
    """As classify.bpf.c does it."""
    octave = max(1, microseconds).bit_length() - 1
    return min(BUCKETS - 1, octave * 4 + ((max(1, microseconds) * 4 >> octave) & 3))


def test_bounds_are_four_an_octave():
    assert sojourn_bounds_us(9) == (1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 3.5, 4.0)


@given(st.integers(4, 1 << 24))
def test_a_time_lies_within_its_bucket(microseconds):
    bounds = sojourn_bounds_us(BUCKETS + 1)
    bucket = bucket_of(microseconds)
    if bucket < BUCKETS - 1:
        assert bounds[bucket] <= microseconds < bounds[bucket + 1]


@given(st.lists(st.integers(4, 10_000_000), min_size=1, max_size=200), st.sampled_from([0.5, 0.95, 0.99, 1.0]))
def test_a_quantile_is_off_by_a_quarter_at_most(times, quantile):
    histogram = [0] * BUCKETS
    for each in times:
        histogram[bucket_of(each)] += 1
    exact = sorted(times)[max(0, -(-int(quantile * 100) * len(times) // 100) - 1)]
    assert 0.75 * exact <= sojourn_quantile_us(histogram, quantile) <= 1.26 * exact


def test_nothing_counted_is_no_time_at_all():
    assert sojourn_quantile_us([0] * BUCKETS, 0.99) == pytest.approx(0.0)
