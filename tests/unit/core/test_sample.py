"""Samples: what one period added, told apart from what was not measured."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from sentinel_api.errors import Invalid
from sentinel_core import sample
from sentinel_core.sample import COUNTERS, PERIOD_NS, Snapshot, Valid, between, no_queues

COUNTS = arrays.arrays(np.uint64, 16, elements=st.integers(0, 2**62))


def snapshot(t_ns=0, **columns):
    return Snapshot(t_ns=t_ns, **{name: columns.get(name, np.zeros(16, np.uint64)) for name in COUNTERS})


def queues(**columns):
    return replace(no_queues(), **columns)


@given(COUNTS, COUNTS)
def test_a_sample_holds_what_the_period_added(start, added):
    seen = between(snapshot(bytes=start), snapshot(PERIOD_NS, bytes=start + added), no_queues())
    assert (seen.bytes == added).all()
    assert (seen.valid == Valid.COUNTERS).all()


@given(COUNTS, st.integers(0, 15), st.sampled_from(COUNTERS))
def test_a_counter_that_went_back_makes_its_class_unmeasured_and_no_other(start, index, name):
    before, after = start + np.uint64(1), start + np.uint64(1)
    after[index] = 0
    seen = between(snapshot(**{name: before}), snapshot(PERIOD_NS, **{name: after}), no_queues())
    assert getattr(seen, name)[index] == 0
    assert seen.has(Valid.COUNTERS).tolist() == [each != index for each in range(16)]


def test_queue_and_sojourn_are_valid_only_where_the_buffer_measured_them():
    measured = np.array([0, 2, 4, 6] + [0xFF] * 12, np.uint8)
    seen = between(snapshot(), snapshot(PERIOD_NS), queues(measured=measured))
    assert seen.has(Valid.QUEUE).tolist() == [False, True, False] + [True] * 13
    assert seen.has(Valid.SOJOURN).tolist() == [False, False, True] + [True] * 13
    assert seen.valid.max() <= sample.ALL_VALID


def test_a_late_tick_does_not_look_like_a_burst():
    late = between(snapshot(), snapshot(3 * PERIOD_NS, bytes=np.full(16, 300, np.uint64)), no_queues())
    assert late.per_second("bytes") == pytest.approx([1000.0] * 16)


def test_only_counters_have_a_rate():
    with pytest.raises(Invalid, match="use one of bytes"):
        between(snapshot(), snapshot(1), no_queues()).per_second("backlog_bytes")


@pytest.mark.parametrize("elapsed_ns", [0, -PERIOD_NS])
def test_snapshots_of_one_instant_make_no_sample(elapsed_ns):
    with pytest.raises(Invalid, match="no rates"):
        between(snapshot(), snapshot(elapsed_ns), no_queues())


@pytest.mark.parametrize(
    "column",
    [np.zeros(15, np.uint64), np.zeros((16, 1), np.uint64), np.zeros(16, np.int64), np.zeros(16, np.float64)],
)
def test_columns_have_one_shape_and_one_type(column):
    with pytest.raises(Invalid, match=r"bytes is .* but must be uint64\[16\]"):
        snapshot(bytes=column)
    with pytest.raises(Invalid, match=r"backlog_bytes is"):
        between(snapshot(), snapshot(1), queues(backlog_bytes=column))


@given(COUNTS, st.permutations(range(16)))
def test_a_recording_gives_the_sample_back_whatever_the_order_of_its_rows(added, order):
    queue = queues(sojourn_us_p99=np.arange(16, dtype=np.uint32), measured=np.full(16, 6, np.uint8))
    seen = between(snapshot(), snapshot(PERIOD_NS, syns=added), queue)
    back = sample.from_rows(seen.rows()[list(order)])
    assert (back.t_ns, back.period_ns) == (seen.t_ns, seen.period_ns)
    assert (back.rows() == seen.rows()).all()


def test_a_class_missing_in_a_recording_was_not_measured():
    seen = between(snapshot(), snapshot(PERIOD_NS), no_queues())
    assert sample.from_rows(seen.rows()[1:]).has(Valid.COUNTERS).tolist() == [False] + [True] * 15


@pytest.mark.parametrize("fault", ["two instants", "class twice", "class 16", "no row", "other fields"])
def test_rows_that_are_no_sample_are_refused(fault):
    table = between(snapshot(), snapshot(PERIOD_NS), no_queues()).rows()
    if fault == "two instants":
        table["t_ns"][3] += 1
    elif fault == "class twice":
        table["class"][3] = 4
    elif fault == "class 16":
        table["class"][3] = 16
    elif fault == "no row":
        table = table[:0]
    else:
        table = np.zeros(3, [("t_ns", "<i8")])
    with pytest.raises(Invalid):
        sample.from_rows(table)
