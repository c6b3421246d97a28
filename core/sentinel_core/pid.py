"""The float reference of the policer in XDP: a virtual queue, and the PID that turns its delay into a probability.

The fixed-point code of the data plane is tested against this module step by step, so every choice that two
implementations could make differently (time unit of the gains, clamps, what a long gap means) is written down here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

STEP_NS: Final = 1_000_000
"""The controller never steps more often than this: below it the derivative is noise of single packets."""

GAIN_PERIOD_NS: Final = 100_000_000
"""The unit of time of `ki` and `kd`: an error of 1 held for one such period adds `ki` to the integral."""

ERROR_MAX: Final = 15.0
"""The error is clamped to [-1, 15], which bounds every product of the fixed-point twin to 64 bits."""

NS_PER_S: Final = 1_000_000_000
US_PER_S: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Gains:
    """Dimensionless but for time, which counts in `GAIN_PERIOD_NS`."""

    kp: float
    ki: float
    kd: float


CALM: Final = Gains(0.5, 0.05, 0.02)
BURST: Final = Gains(0.8, 0.1, 0.05)


@dataclass(frozen=True, slots=True)
class Pid:
    """State of one class. `integral` already contains `ki`, so a change of gains causes no jump."""

    stepped_ns: int
    integral: float = 0.0
    delay_us: float = 0.0
    probability: float = 0.0


def step(pid: Pid, gains: Gains, delay_us: float, target_us: float, now_ns: int) -> Pid:
    """One step of the controller; unchanged when less than `STEP_NS` has passed since the last.

    The derivative is that of the delay, not of the error, so that a new target does not kick. A gap longer than
    `GAIN_PERIOD_NS` counts as one period, for nobody knows how long of it the queue stood so high; but where it ends
    below the target the integral wears off over all of it, or the first packets after a silence would meet an empty
    queue and yet be signalled. An order without `ki` keeps no integral that an earlier one left.
    """
    elapsed_ns = now_ns - pid.stepped_ns
    if elapsed_ns < STEP_NS:
        return pid
    if target_us <= 0:
        return Pid(stepped_ns=now_ns, delay_us=delay_us)
    periods = min(elapsed_ns, GAIN_PERIOD_NS) / GAIN_PERIOD_NS
    error = _clamp((delay_us - target_us) / target_us, -1.0, ERROR_MAX)
    change = _clamp((delay_us - pid.delay_us) / target_us, -ERROR_MAX, ERROR_MAX)
    counted = elapsed_ns / GAIN_PERIOD_NS if error < 0.0 else periods
    integral = _clamp(pid.integral + gains.ki * error * counted, 0.0, 1.0) if gains.ki else 0.0
    wanted = gains.kp * error + integral + gains.kd * change / periods
    if wanted > 1.0 and error > 0.0:
        # Anti-windup: at full output more integral could only delay the way back.
        integral = pid.integral
    return Pid(stepped_ns=now_ns, integral=integral, delay_us=delay_us, probability=_clamp(wanted, 0.0, 1.0))


@dataclass(frozen=True, slots=True)
class VirtualQueue:
    """A leaky bucket: what would be queued if the class were served at exactly its drain rate."""

    drained_ns: int
    backlog_bytes: float = 0.0


def drain(queue: VirtualQueue, drain_bytes_per_s: float, now_ns: int) -> VirtualQueue:
    """What is left of the queue at `now_ns`; a clock that stands still or goes back drains nothing."""
    elapsed_ns = max(0, now_ns - queue.drained_ns)
    left = queue.backlog_bytes - drain_bytes_per_s * elapsed_ns / NS_PER_S
    return VirtualQueue(drained_ns=queue.drained_ns + elapsed_ns, backlog_bytes=max(0.0, left))


def full(queue: VirtualQueue, max_bytes: int) -> bool:
    """Whether the next packet is refused, whatever its size: `>=` heals itself after a limit was lowered."""
    return queue.backlog_bytes >= max_bytes


def enqueue(queue: VirtualQueue, packet_bytes: int) -> VirtualQueue:
    """An accepted packet; refused and dropped ones never enter the queue, marked ones do."""
    return replace(queue, backlog_bytes=queue.backlog_bytes + packet_bytes)


def delay_us(queue: VirtualQueue, drain_bytes_per_s: float) -> float:
    """How long a packet at the tail would wait. Without a drain rate nothing is policed, so the delay is 0."""
    if drain_bytes_per_s <= 0:
        return 0.0
    return queue.backlog_bytes * US_PER_S / drain_bytes_per_s


def _clamp(value: float, low: float, high: float) -> float:
    return min(high, max(low, value))
