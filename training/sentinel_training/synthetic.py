"""Bursts whose onsets are known because they were made: the generator's own times are the truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from sentinel_api.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

STEP_S: Final = 0.1
CALM_PER_S: Final = 200.0
BURST_TIMES: Final = 10.0
FIRST_S: Final = 70.0
"""The rule of an onset needs its trailing minute first."""


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """Counts a step of 100 ms, the rate per second behind them, and the onsets in seconds."""

    name: str
    counts: Floats
    onsets_s: Floats
    rates: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Timetable:
    """When bursts are due, and the standard deviation of how far they miss that."""

    period_s: float
    jitter_s: float
    due_s: Floats


def timetable(seconds: float, random: np.random.Generator) -> Timetable:
    """Any period from 15 to 90 s; phases jitter with a standard deviation of up to 1 s."""
    period, jitter = random.uniform(15, 90), random.uniform(0.0, 1.0)
    return Timetable(period, jitter, np.arange(FIRST_S + random.uniform(0, period), seconds, period))


def _periodic(seconds: float, random: np.random.Generator) -> tuple[Floats, Floats]:
    """Bursts by a timetable."""
    table = timetable(seconds, random)
    onsets = table.due_s + random.normal(0.0, table.jitter_s, len(table.due_s))
    # A burst over a tenth of the period would lift the mean so far that ten times the calm rate is no burst any more.
    return onsets, _rates(seconds, onsets, random.uniform(0.03, 0.1) * table.period_s)


def _cron(seconds: float, random: np.random.Generator) -> tuple[Floats, Floats]:
    """Every minute, a second or so late, one in twenty left out."""
    grid = np.arange(120.0, seconds, 60.0)
    onsets = (grid + np.abs(random.normal(0.5, 0.7, len(grid))))[random.random(len(grid)) < 0.95]
    return onsets, _rates(seconds, onsets, 3.0)


def _random(seconds: float, random: np.random.Generator) -> tuple[Floats, Floats]:
    """Memoryless beyond the ten seconds that tell two bursts apart: the negative control."""
    onsets = FIRST_S + np.cumsum(12.0 + random.exponential(40.0, int(seconds / 12)))
    return onsets, _rates(seconds, onsets, 2.0)


def _ramp(seconds: float, random: np.random.Generator) -> tuple[Floats, Floats]:
    """Memoryless bursts, each announced by ten to fourteen seconds of rise to double the calm rate."""
    return _announced_by_rise(seconds, random, random.uniform(10.0, 14.0))


def _short_ramp(seconds: float, random: np.random.Generator) -> tuple[Floats, Floats]:
    """As a ramp, but of five seconds only."""
    return _announced_by_rise(seconds, random, 5.0)


def _announced_by_rise(seconds: float, random: np.random.Generator, rise_s: float) -> tuple[Floats, Floats]:
    onsets = FIRST_S + np.cumsum(30.0 + random.exponential(40.0, int(seconds / 30)))
    rates = _rates(seconds, onsets, 3.0)
    times = np.arange(len(rates)) * STEP_S
    for onset in onsets:
        rising = (times >= onset - rise_s) & (times < onset)
        rates[rising] *= 1.0 + (times[rising] - onset + rise_s) / rise_s
    return onsets, rates


def _two_rhythms(seconds: float, random: np.random.Generator) -> tuple[Floats, Floats]:
    """Two jobs, each with a period and a jitter of its own; onsets less than two seconds apart are one."""
    grids = []
    for period in (random.uniform(20, 45), random.uniform(45, 90)):
        grid = np.arange(FIRST_S + random.uniform(0, period), seconds, period)
        grids.append(grid + random.normal(0.0, random.uniform(0.0, 1.0), len(grid)))
    onsets = np.sort(np.concatenate(grids))
    onsets = onsets[np.diff(onsets, prepend=-np.inf) > 2.0]
    return onsets, _rates(seconds, onsets, 1.5)


def _microburst(seconds: float, random: np.random.Generator) -> tuple[Floats, Floats]:
    """A tenth of a second every twenty."""
    grid = np.arange(FIRST_S, seconds, 20.0)
    onsets = grid + random.normal(0.0, 0.3, len(grid))
    return onsets, _rates(seconds, onsets, 0.2)


def _flash(seconds: float, random: np.random.Generator) -> tuple[Floats, Floats]:
    """Crowds at times nobody knows, which come at once and go slowly."""
    onsets = FIRST_S + np.cumsum(200.0 + random.exponential(300.0, int(seconds / 200)))
    rates = np.full(round(seconds / STEP_S), CALM_PER_S)
    times = np.arange(len(rates)) * STEP_S
    for onset in onsets:
        since = np.maximum(times - onset, 0.0)
        rates += np.where(times >= onset, CALM_PER_S * (BURST_TIMES - 1.0) * np.exp(-since / 20.0), 0.0)
    return onsets, rates


PATTERNS: Final[dict[str, Callable[[float, np.random.Generator], tuple[Floats, Floats]]]] = {
    "cron": _cron,
    "flash": _flash,
    "microburst": _microburst,
    "periodic": _periodic,
    "precursor": _ramp,
    "random": _random,
    "short_ramp": _short_ramp,
    "two_rhythms": _two_rhythms,
}


def made(pattern: str, seconds: float, seed: int) -> Made:
    """Poisson arrivals around the pattern's rate; the same seed makes the same counts."""
    if pattern not in PATTERNS:
        raise Invalid(f"there is no pattern {pattern!r}; choose one of {', '.join(sorted(PATTERNS))}")
    random = np.random.default_rng(seed)
    onsets, rates = PATTERNS[pattern](seconds, random)
    counts = random.poisson(rates * STEP_S).astype(np.float64)
    return Made(pattern, counts, onsets[onsets < seconds], rates)


def _rates(seconds: float, onsets: Floats, burst_s: float) -> Floats:
    times = np.arange(round(seconds / STEP_S)) * STEP_S
    since = times - np.append(-np.inf, onsets)[np.searchsorted(onsets, times + 1e-9, side="right")]
    return np.where(since < burst_s, BURST_TIMES * CALM_PER_S, CALM_PER_S)
