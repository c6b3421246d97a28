"""What a node says it carries: a mean that bursts do not alias, over a bounded time, in memory that is taken once."""

import tracemalloc
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel_api.records import CLASSES
from sentinel_core import carried
from sentinel_core.carried import KEPT, LEAST_S, MOST_S, Carried
from sentinel_core.sample import PERIOD_NS
from support.samples import sample

A_PERIOD = CLASSES * 1_000  # bytes of one packet in each class
A_SECOND = 10**9 // PERIOD_NS


def after(packets, over=LEAST_S):
    made = Carried()
    made.over(over)
    for step, count in enumerate(packets):
        made.step(sample(step, packets=count))
    return made


def test_a_burst_in_every_tenth_period_is_told_as_a_tenth_whichever_period_is_the_last():
    told = {after([10 if step % 10 == phase else 0 for step in range(200)]).bps for phase in range(10)}
    assert told == {A_PERIOD * A_SECOND}


@pytest.mark.parametrize(
    ("over", "counts"), [(1, LEAST_S), (LEAST_S, LEAST_S), (30, 30), (MOST_S, MOST_S), (3_600, MOST_S)]
)
def test_it_is_of_the_reports_period_but_of_no_less_than_ten_seconds_and_no_more_than_a_minute(over, counts):
    before = [0] * A_SECOND * 2 * MOST_S
    assert after([*before, *[1] * (counts * A_SECOND)], over).bps == A_PERIOD * A_SECOND
    assert after([*before, *[1] * (counts * A_SECOND - 10)], over).bps < A_PERIOD * A_SECOND


def test_of_a_node_that_began_just_now_it_is_what_was_seen():
    assert Carried().bps == 0
    assert after([3]).bps == 3 * A_PERIOD * A_SECOND


def test_a_late_period_counts_for_its_length():
    made = after([1])
    made.step(replace(sample(4, packets=4), period_ns=4 * PERIOD_NS))
    assert made.bps == A_PERIOD * A_SECOND


def test_a_period_in_which_a_class_was_not_counted_is_as_if_it_had_not_been():
    made = after([1] * 5)
    unknown = sample(5, packets=0)
    unknown.valid[3] = 0
    made.step(unknown)
    assert made.bps == A_PERIOD * A_SECOND


def test_after_a_long_silence_only_what_came_since_counts():
    made = after([1_000] * 50)
    made.step(sample(10**6, packets=1))
    assert made.bps == A_PERIOD * A_SECOND


@given(st.lists(st.integers(0, 5), min_size=1, max_size=250))
def test_it_is_the_mean_of_the_last_ten_seconds_to_the_byte(packets):
    last = packets[-LEAST_S * A_SECOND :]
    assert after(packets).bps == pytest.approx(sum(last) * A_PERIOD * A_SECOND / len(last), rel=1e-12)


def test_periods_that_are_too_short_for_the_ring_push_the_oldest_out():
    made = Carried()
    for step in range(2 * KEPT):
        made.step(replace(sample(0, packets=step >= KEPT), t_ns=step, period_ns=1))
    assert made.bps == A_PERIOD * 1e9


def test_a_step_takes_no_memory():
    made = Carried()
    samples = [replace(sample(step % 7), t_ns=step * PERIOD_NS) for step in range(3 * KEPT)]
    for each in samples[:KEPT]:
        made.step(each)
    tracemalloc.start()
    for each in samples[KEPT : KEPT + 10]:
        made.step(each)  # numpy's own caches fill
    for each in samples[KEPT + 10 :]:
        made.step(each)
    own = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(True, carried.__file__)])
    tracemalloc.stop()
    assert sum(each.size for each in own.statistics("filename")) < 1_000
