"""The float reference that the BPF policer must follow."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel_core import pid

MS = 1_000_000
GAINS = st.builds(pid.Gains, *[st.floats(0, 4)] * 3)
DELAYS = st.lists(st.floats(0, 1e7), min_size=1, max_size=50)


def run(delays, *, gains=pid.CALM, target_us=1000.0, step_ns=MS, start=None):
    state = start or pid.Pid(stepped_ns=0)
    for delay in delays:
        state = pid.step(state, gains, delay, target_us, state.stepped_ns + step_ns)
    return state


@given(GAINS, DELAYS, st.floats(1, 1e6), st.integers(MS, 10**12))
def test_probability_and_integral_stay_between_0_and_1(gains, delays, target_us, step_ns):
    end = run(delays, gains=gains, target_us=target_us, step_ns=step_ns)
    assert 0 <= end.probability <= 1
    assert 0 <= end.integral <= 1


@given(DELAYS, st.floats(0, 1e6), st.floats(0, 1e6))
def test_a_longer_queue_is_never_marked_less(history, delay, more):
    before = run(history)
    now_ns = before.stepped_ns + MS
    small, large = (pid.step(before, pid.CALM, d, 1000.0, now_ns) for d in (delay, delay + more))
    # 1e-12: the sums of the two runs round differently in the last bit.
    assert small.probability <= large.probability + 1e-12


def test_two_steps_within_a_millisecond_are_one():
    before = run([5000.0])
    assert pid.step(before, pid.CALM, 9000.0, 1000.0, before.stepped_ns + MS - 1) is before


def test_at_the_target_only_the_integral_speaks():
    steady = pid.Pid(stepped_ns=0, integral=0.25, delay_us=1000.0)
    assert pid.step(steady, pid.CALM, 1000.0, 1000.0, MS).probability == 0.25


def test_an_error_of_one_for_one_period_adds_ki():
    start = pid.Pid(stepped_ns=0, delay_us=2000.0)
    end = run([2000.0] * 100, start=start)
    assert end.integral == pytest.approx(pid.CALM.ki)
    assert end.probability == pytest.approx(pid.CALM.kp + pid.CALM.ki)


def test_the_derivative_sees_the_rate_of_change():
    start = pid.Pid(stepped_ns=0, delay_us=1000.0)
    end = pid.step(start, pid.Gains(0, 0, 0.02), 1100.0, 1000.0, 10 * MS)
    assert end.probability == pytest.approx(0.02 * 0.1 / 0.1)


def test_a_new_target_causes_no_derivative_kick():
    start = pid.Pid(stepped_ns=0, delay_us=1000.0)
    assert pid.step(start, pid.Gains(0, 0, 1), 1000.0, 500.0, MS).probability == 0


def test_a_saturated_controller_lets_go_as_fast_as_a_fresh_one():
    long_overload = run([1e6] * 10_000)
    short_overload = run([1e6] * 10)
    assert long_overload.probability == 1
    assert long_overload.integral == short_overload.integral


def test_a_long_gap_above_the_target_counts_as_one_period():
    start = pid.Pid(stepped_ns=0, delay_us=2000.0)
    year = pid.step(start, pid.CALM, 2000.0, 1000.0, 365 * 86_400 * 1000 * MS)
    assert year.integral == pytest.approx(pid.CALM.ki)


def test_below_the_target_the_integral_wears_off_over_the_whole_gap():
    start = pid.Pid(stepped_ns=0, integral=0.9, delay_us=2000.0)
    assert pid.step(start, pid.CALM, 500.0, 1000.0, 1000 * MS).integral == pytest.approx(0.9 - 10 * 0.5 * 0.05)


@given(st.builds(pid.Gains, st.floats(0, 4), st.floats(1e-3, 4), st.floats(0, 4)), st.floats(0, 1e7), st.floats(1, 1e6))
def test_an_empty_queue_after_a_long_silence_signals_nobody(gains, delay, target_us):
    before = pid.Pid(stepped_ns=0, integral=1.0, delay_us=delay, probability=1.0)
    # One period more than the integral takes to wear off, for its quotient rounds.
    silent_ns = int(1 / gains.ki + 1) * pid.GAIN_PERIOD_NS
    after = pid.step(before, gains, 0.0, target_us, silent_ns)
    assert (after.probability, after.integral) == (0, 0)


def test_without_ki_no_integral_is_left():
    before = pid.Pid(stepped_ns=0, integral=1.0)
    assert pid.step(before, pid.Gains(0.5, 0, 0), 0.0, 1000.0, MS).probability == 0


def test_without_a_target_nothing_is_marked():
    assert pid.step(pid.Pid(stepped_ns=0, integral=1.0), pid.BURST, 1e6, 0.0, MS).probability == 0


def test_the_virtual_queue_drains_at_its_rate():
    queue = pid.enqueue(pid.VirtualQueue(drained_ns=0), 1500)
    later = pid.drain(queue, 1e6, MS)
    assert later.backlog_bytes == pytest.approx(500)
    assert pid.delay_us(later, 1e6) == pytest.approx(500)
    assert pid.drain(later, 1e6, 10 * MS).backlog_bytes == 0


@given(st.lists(st.tuples(st.integers(-MS, 10 * MS), st.integers(60, 9000)), max_size=40), st.floats(0, 1e9))
def test_the_virtual_queue_holds_no_more_than_what_came_and_never_less_than_nothing(packets, rate):
    queue, now_ns, sent = pid.VirtualQueue(drained_ns=0), 0, 0
    for wait_ns, size in packets:
        now_ns += wait_ns
        queue = pid.enqueue(pid.drain(queue, rate, now_ns), size)
        sent += size
        assert 0 <= queue.backlog_bytes <= sent


def test_a_queue_at_its_limit_refuses_and_below_it_accepts():
    queue = pid.VirtualQueue(drained_ns=0, backlog_bytes=1000.0)
    assert pid.full(queue, 1000)
    assert pid.full(queue, 10)
    assert not pid.full(queue, 1001)


def test_without_a_drain_rate_there_is_no_delay():
    assert pid.delay_us(pid.VirtualQueue(drained_ns=0, backlog_bytes=1e9), 0) == 0
