"""Arrivals of a run as frames a quantum, and when its bursts are, for plots and for those that are told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from sentinel_lab import seasoning
from sentinel_lab.scenario import SYN_WIRE_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sentinel_lab.scenario import Scenario, TrafficClass
    from sentinel_lab.seasoning import Life

    Floats = NDArray[np.float64]
    Frames = NDArray[np.float32]

TCP_HEADERS_BYTES: Final = 66
"""Ethernet, IPv4, TCP and its timestamps: the queue counts whole frames, the senders' sizes are payload."""

BULK_FLOWS: Final = 4
BASE_RTT_S: Final = 0.02
"""A few long flows over a regional path; with many or with short trips the standing queue is the same, only calmer."""


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
    lives = [
        seasoning.life(each, pattern, seconds, seed, past_s=0.0) for each in scenario.classes if each.kind == "udp"
    ]
    return of_lives(scenario, pattern, lives, seconds, step_s)


def of_lives(scenario: Scenario, name: str, lives: Sequence[Life], seconds: float, step_s: float) -> Traffic:
    """What is sent in the run; what is only remembered from before it is not."""
    steps = round(seconds / step_s)
    frames = np.zeros((steps, len(scenario.classes)), np.float32)
    bursts: tuple[tuple[float, float], ...] = ()
    for each in lives:
        column = frames[:, scenario.classes.index(each.of)]
        column += counted(each.run.times_s, steps, step_s)
        if each.flood.times_s.size:  # as parts of a frame: what a queue counts is bytes
            column += counted(each.flood.times_s, steps, step_s) * np.float32(SYN_WIRE_BYTES / frame_bytes(each.of))
        if each.of == scenario.bursty:
            bursts = each.run.bursts or each.flood.bursts
    return Traffic(name, step_s, frames, bursts)


def counted(times_s: Floats, steps: int, step_s: float) -> Frames:
    at = np.minimum((times_s / step_s).astype(np.int64), steps - 1)
    return np.bincount(at, minlength=steps).astype(np.float32)
