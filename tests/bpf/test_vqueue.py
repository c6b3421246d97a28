"""The policer's arithmetic: what its fixed point says is what the float reference says, step by step."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentinel_bpf import object as bpf_object
from sentinel_bpf import testrun
from sentinel_core import pid
from support.data_plane.agent import XDP_PASS
from support.frames import udp4

FRAME = udp4()
Q16, Q32 = 1 << 16, 1 << 32
TICKS_PER_S = 64 * 10**9
STEP_TOLERANCE = 2e-4  # sixteen bits of probability, and gains that are themselves rounded


class Twin:
    """The fixed-point arithmetic that ships, with any clock."""

    def __init__(self, path):
        self.object = bpf_object.load(path)
        self.cell = self.object.map("sn_trial").view(writable=True)

    def reset(self) -> None:
        self.cell[0] = np.zeros((), self.cell.dtype)

    def run(self, program: str) -> None:
        assert testrun.run(self.object.program(program), FRAME).action == XDP_PASS

    def step(self, gains: pid.Gains, target_us: int, delay_us: float, elapsed_ns: int) -> tuple[float, float]:
        order = self.cell["order"]
        for name in ("kp", "ki", "kd"):
            order[name][0] = round(getattr(gains, name) * Q16)
        order["target_us"][0] = target_us
        self.cell["delay_ns"][0] = round(delay_us * 1000)
        self.cell["elapsed_ns"][0] = elapsed_ns
        self.run("sn_try_pid")
        queue = self.cell["queue"][0]
        return int(queue["probability"]) / Q16, int(queue["integral"]) / Q32

    def arrive(self, now_ns: int, size: int, drain_bytes_per_s: int) -> tuple[int, int]:
        """Delay in nanoseconds and backlog in bytes that the packet meets."""
        self.cell["now_ns"][0], self.cell["bytes"][0] = now_ns, size
        self.cell["order"]["drain_Bps"][0] = drain_bytes_per_s
        self.run("sn_try_queue")
        return int(self.cell["delay_ns"][0]), int(self.cell["backlog_bytes"][0])


@pytest.fixture(scope="module")
def twin(built):
    return Twin(built / "test" / "vqueue.bpf.o")


GAINS = st.sampled_from([pid.CALM, pid.BURST]) | st.builds(
    pid.Gains, kp=st.floats(0, 4), ki=st.floats(0, 4), kd=st.floats(0, 1)
)
STEPS = st.lists(
    st.tuples(
        st.integers(1_000_000, 400_000_000) | st.integers(400_000_000, 10**13),
        st.floats(0, 1_000_000) | st.floats(0, 20_000),
    ),
    min_size=1,
    max_size=40,
)


def rounded(gains: pid.Gains) -> pid.Gains:
    """As an order carries them: the comparison is of the arithmetic, not of the units."""
    return pid.Gains(*(round(gain * Q16) / Q16 for gain in (gains.kp, gains.ki, gains.kd)))


def wanted(before: pid.Pid, gains: pid.Gains, delay_us: float, target_us: int, elapsed_ns: int) -> float:
    """What the controller asks for before its output is bounded."""
    periods = min(elapsed_ns, pid.GAIN_PERIOD_NS) / pid.GAIN_PERIOD_NS
    error = min((delay_us - target_us) / target_us, pid.ERROR_MAX)
    change = max(-pid.ERROR_MAX, min((delay_us - before.delay_us) / target_us, pid.ERROR_MAX))
    counted = elapsed_ns / pid.GAIN_PERIOD_NS if error < 0 else periods
    integral = max(0.0, min(before.integral + gains.ki * error * counted, 1.0)) if gains.ki else 0.0
    return gains.kp * error + integral + gains.kd * change / periods


@settings(max_examples=150, deadline=None)
@given(gains=GAINS, target_us=st.integers(100, 1_000_000), steps=STEPS)
def test_the_controller_steps_as_the_float_reference_does(twin, gains, target_us, steps):
    """Step by step from a common state: rounding must not add up over steps to hide or to feign a fault."""
    twin.reset()
    state, now_ns = pid.Pid(stepped_ns=0), 0
    for elapsed_ns, delay_us in steps:
        now_ns += elapsed_ns
        before = state
        state = pid.step(state, rounded(gains), delay_us, target_us, now_ns)
        probability, integral = twin.step(gains, target_us, delay_us, elapsed_ns)
        scale = 1 + gains.kd * 100_000_000 / min(elapsed_ns, 100_000_000)
        assert probability == pytest.approx(state.probability, abs=STEP_TOLERANCE * scale)
        # Only where full output is met to the last bit may one hold the integral back and the other not.
        if abs(wanted(before, rounded(gains), delay_us, target_us, elapsed_ns) - 1) > STEP_TOLERANCE * scale:
            assert integral == pytest.approx(state.integral, abs=STEP_TOLERANCE)
        twin.cell["queue"]["integral"][0] = round(state.integral * Q32)


def test_the_integral_is_bounded_and_wears_off_over_a_silence(twin):
    """A tenth above its target the queue stands until the integral alone asks for nearly every packet."""
    twin.reset()
    for _ in range(1000):
        _, full = twin.step(pid.BURST, 1000, 1100, 100_000_000)
        assert 0 <= full <= 1
    assert full > 0.85
    probability, left = twin.step(pid.BURST, 1000, 0, 5 * pid.GAIN_PERIOD_NS)
    assert left == pytest.approx(full - 5 * pid.BURST.ki, abs=STEP_TOLERANCE)
    assert probability == 0
    assert twin.step(pid.Gains(0, pid.BURST.ki, 0), 1000, 0, 3600 * 10**9) == (0, 0)


@settings(max_examples=150, deadline=None)
@given(
    gains=GAINS,
    target_us=st.integers(100, 1_000_000),
    before=st.tuples(st.integers(0, Q32), st.integers(0, 64 * 10**9)),
    more_ns=st.integers(0, 10**18),
)
def test_an_empty_queue_after_a_long_silence_signals_nobody(twin, gains, target_us, before, more_ns):
    """Long is what the whole integral takes to wear off by ki; without one there is nothing to wear off."""
    ki = rounded(gains).ki
    wears_off = max(1, math.ceil(1 / ki)) if ki else 1
    twin.reset()
    twin.cell["queue"]["integral"][0], twin.cell["queue"]["delay_ns"][0] = before
    assert twin.step(gains, target_us, 0, wears_off * pid.GAIN_PERIOD_NS + more_ns) == (0, 0)


def test_at_full_output_the_integral_does_not_wind_up(twin):
    twin.reset()
    for _ in range(50):
        assert twin.step(pid.BURST, 1000, 50_000, 100_000_000) == (1, 0)


def test_a_target_of_zero_asks_for_nothing(twin):
    twin.reset()
    twin.step(pid.BURST, 1000, 50_000, 100_000_000)
    assert twin.step(pid.BURST, 0, 50_000, 100_000_000) == (0, 0)


ROUNDED_S = 6e-8  # what rounding each arrival to a tick, and the delay to a nanosecond, may add up to
ARRIVALS = st.lists(st.tuples(st.integers(0, 3_000_000), st.integers(14, 65_535)), min_size=1, max_size=60)


@settings(max_examples=150, deadline=None)
@given(drain=st.integers(10_000, 50_000_000_000), arrivals=ARRIVALS, start=st.integers(1, 10**17))
def test_the_queue_fills_and_drains_as_the_float_reference_does(twin, drain, arrivals, start):
    twin.reset()
    queue, now_ns = pid.VirtualQueue(drained_ns=start), start
    for gap_ns, size in arrivals:
        now_ns += gap_ns
        queue = pid.drain(queue, drain, now_ns)
        delay_ns, backlog = twin.arrive(now_ns, size, drain)
        wanted_ns = pid.delay_us(queue, drain) * 1000
        if wanted_ns < 60e9:
            assert delay_ns == pytest.approx(wanted_ns, rel=1e-6, abs=2 + len(arrivals))
            assert backlog == pytest.approx(queue.backlog_bytes, rel=1e-6, abs=1 + drain * 3e-8)
        queue = pid.enqueue(queue, size)


@settings(max_examples=80, deadline=None)
@given(before=st.integers(1_000_000, 10**10), after=st.integers(1_000_000, 10**10), packets=st.integers(1, 200))
def test_a_changed_rate_keeps_the_bytes_that_stand(twin, before, after, packets):
    twin.reset()
    for _ in range(packets):
        twin.arrive(10**9, 1500, before)
    _, backlog = twin.arrive(10**9, 0, after)
    assert backlog == pytest.approx(packets * 1500, rel=1e-6, abs=ROUNDED_S * (before + after) + 2)


def test_the_reference_itself_is_the_one_meant():
    """The twin's constants are the reference's; should that change, this file must be read again."""
    assert (pid.STEP_NS, pid.GAIN_PERIOD_NS, pid.ERROR_MAX) == (10**6, 10**8, 15.0)
    assert replace(pid.Pid(stepped_ns=0), integral=1.0).integral == 1.0
