"""Demand to scale for: synthetic days whose bursts are scheduled, ramped or memoryless, and recorded traces.

Everything is on a grid of five seconds; what a buffer absorbs within one is not what nodes are added for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from sentinel_training import traces

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

STEP_S: Final = 5
DAY_S: Final = 86_400
PEAK_NODES: Final = 12.0
"""A node's capacity is chosen so that the 99.9th percentile of demand fills so many."""
BASE: Final = 100.0
SHORTEST_S: Final = 2_400
FEWEST: Final = 20.0
"""Events in a step, on average, below which chance alone makes overloads."""


@dataclass(frozen=True, slots=True, eq=False)
class Day:
    """Demand in nodes' worth of traffic a step; `warm_up` steps may be learned from and are not judged."""

    name: str
    structured: bool
    demand: Floats
    known: Bools
    warm_up: int


def made(name: str, seed: int, judged_s: int) -> Day:
    """As many seconds of history come first, for the learners."""
    random = np.random.default_rng(seed)
    steps = 2 * judged_s // STEP_S
    at_s: Floats = np.arange(steps, dtype=np.float64) * STEP_S
    calm: Floats = BASE * (1.0 + 0.35 * np.sin(2 * np.pi * at_s / DAY_S))
    shape, structured = PATTERNS[name]
    wanted: Floats = np.asarray(calm * shape(at_s, random), np.float64)
    demand = random.poisson(np.maximum(wanted, 0.0) * STEP_S) / STEP_S
    return _in_nodes(name, structured, demand, np.ones(steps, np.bool_), steps // 2)


def recorded(folder: Path, longest_s: int) -> Iterator[Day | str]:
    """A day, or the sentence why a trace is left out."""
    for name in traces.names(folder):
        try:
            trace = traces.load(folder, name, longest_s)
        except traces.NotUsable as error:
            yield f"{name}: {error}"
            continue
        each = STEP_S // round(trace.step_s)
        steps = len(trace.counts) // each
        counts = trace.counts[: steps * each].reshape(steps, each)
        known: Bools = np.asarray(trace.known[: steps * each].reshape(steps, each).all(axis=1), np.bool_)
        if steps * STEP_S < SHORTEST_S:
            yield f"{name}: covers {steps * STEP_S} s, in which a fleet hardly changes"
        elif counts.sum(axis=1).mean() < FEWEST:
            yield f"{name}: fewer than {FEWEST:.0f} events in {STEP_S} s, so that chance alone makes overloads"
        else:
            yield _in_nodes(name, True, counts.mean(axis=1), known, trace.warm_up // each)


def _in_nodes(name: str, structured: bool, demand: Floats, known: Bools, warm_up: int) -> Day:
    unit = float(np.quantile(demand[known], 0.999)) / PEAK_NODES
    return Day(name, structured, demand / unit, known, warm_up)


def _schedule(at_s: Floats, random: np.random.Generator) -> Floats:
    """Every half hour three minutes at two and a half times the load, with seconds of jitter."""
    factor = np.ones_like(at_s)
    for start in np.arange(0.0, at_s[-1], 1_800.0):
        begin = start + random.normal(0.0, 2.0)
        factor[(at_s >= begin) & (at_s < begin + 180)] = 2.5
    return factor


def _ramp(at_s: Floats, random: np.random.Generator) -> Floats:
    """At random times a rise to double over five minutes, ten minutes of it, and as slowly back."""
    factor = np.ones_like(at_s)
    for start in _onsets(at_s, random, 5_400.0):
        shape = np.interp(at_s - start, [0, 300, 900, 1_200], [0, 1, 1, 0], left=0, right=0)
        factor += shape
    return factor


def _flash(at_s: Floats, random: np.random.Generator) -> Floats:
    """At random times at once two and a half times the load for four minutes: nobody can foresee it."""
    factor = np.ones_like(at_s)
    for start in _onsets(at_s, random, 5_400.0):
        factor[(at_s >= start) & (at_s < start + 240)] = 2.5
    return factor


def _onsets(at_s: Floats, random: np.random.Generator, mean_gap_s: float) -> Floats:
    gaps = random.exponential(mean_gap_s, size=int(4 * at_s[-1] / mean_gap_s) + 8)
    onsets = np.cumsum(gaps)
    found: Floats = onsets[onsets < at_s[-1]]
    return found


def _plain(at_s: Floats, random: np.random.Generator) -> Floats:  # noqa: ARG001  as the other patterns
    return np.ones_like(at_s)


PATTERNS: Final[dict[str, tuple[Callable[[Floats, np.random.Generator], Floats], bool]]] = {
    "schedule": (_schedule, True),
    "ramp": (_ramp, True),
    "day": (_plain, True),
    "flash": (_flash, False),
}
