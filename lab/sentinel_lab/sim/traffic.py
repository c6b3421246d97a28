"""Arrivals of a run as frames a quantum, and the truth about its bursts, which only those are told that need it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from sentinel_api.errors import Invalid
from sentinel_lab.policies import Burst, Truth
from sentinel_lab.traffic.patterns import schedule

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sentinel_lab.scenario import Scenario, TrafficClass

    Floats = NDArray[np.float64]
    Frames = NDArray[np.float32]

TCP_HEADERS_BYTES: Final = 66
"""Ethernet, IPv4, TCP and its timestamps: the queue counts whole frames, the senders' sizes are payload."""

BULK_FLOWS: Final = 4
BASE_RTT_S: Final = 0.02
"""A few long flows over a regional path; with many or with short trips the standing queue is the same, only calmer."""

STEADY: Final = "steady"


@dataclass(frozen=True, slots=True, eq=False)
class Traffic:
    """`frames[step, class column]`; `bursts` are those of the class the run is about, in seconds."""

    name: str
    step_s: float
    frames: Frames
    bursts: tuple[tuple[float, float], ...]

    @property
    def seconds(self) -> float:
        return len(self.frames) * self.step_s


def frame_bytes(each: TrafficClass) -> int:
    return each.packet_bytes + TCP_HEADERS_BYTES if each.kind == "bulk" else each.wire_bytes


def of_pattern(scenario: Scenario, pattern: str, seconds: float, seed: int, step_s: float) -> Traffic:
    """The testbed's own schedules: the same pattern and seed ask for the same packets there and here."""
    steps = round(seconds / step_s)
    frames = np.zeros((steps, len(scenario.classes)), np.float32)
    bursts: tuple[tuple[float, float], ...] = ()
    for column, each in enumerate(scenario.classes):
        if each.kind == "bulk":
            continue
        plan = schedule(each.pattern or pattern, seconds, seed, each.scale)
        frames[:, column] = counted(plan.times_s, steps, step_s)
        if each == scenario.bursty:
            bursts = plan.bursts
    return Traffic(pattern, step_s, frames, bursts)


def counted(times_s: Floats, steps: int, step_s: float) -> Frames:
    at = np.minimum((times_s / step_s).astype(np.int64), steps - 1)
    return np.bincount(at, minlength=steps).astype(np.float32)


def replayed(scenario: Scenario, name: str, counts: Floats, bin_s: float, step_s: float) -> Traffic:
    """Counts of `bin_s` each, even within their bin, in the column of the class that bursts; a trace has no bursts
    that anybody declared."""
    per_bin = round(bin_s / step_s)
    if per_bin < 1:
        raise Invalid(f"a bin of {bin_s:g} s is shorter than the quantum of {step_s:g} s: replay the trace more slowly")
    frames = np.zeros((len(counts) * per_bin, len(scenario.classes)), np.float32)
    for column, each in enumerate(scenario.classes):
        if each == scenario.bursty:
            frames[:, column] = np.repeat(counts / per_bin, per_bin)
        elif each.kind != "bulk":
            plan = schedule(each.pattern or STEADY, len(frames) * step_s, 0, each.scale)
            frames[:, column] = counted(plan.times_s, len(frames), step_s)
    return Traffic(name, step_s, frames, ())


def truth(scenario: Scenario, traffic: Traffic, start_ns: int = 0) -> Truth:
    """For the oracle and for those that are wrong on purpose."""
    bursty = scenario.bursty
    column = scenario.classes.index(bursty)
    surplus = traffic.frames[:, column] * frame_bytes(bursty) - scenario.drain_bytes_per_s * traffic.step_s
    found = []
    for start, end in traffic.bursts:
        within = surplus[round(start / traffic.step_s) : round(end / traffic.step_s)].astype(np.float64)
        most = max(0.0, float(np.cumsum(within).max(initial=0.0)))
        found.append(Burst(start_s=start, end_s=end, surplus_bytes=round(most)))
    return Truth(start_ns=start_ns, bursts={bursty.id: tuple(found)})
