"""Rules for an actuator of any latency: those that only react, and those that are also told of bursts to come.

Both families are tuned in the same way on the first half of the time and judged on the second. Whoever is told of
bursts may ignore it: the family with foresight holds all of the family without.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from sentinel_agent.predict.smoothing import Smoothing
from sentinel_api.errors import Invalid
from sentinel_api.records import CLASSES, HORIZONS_S
from sentinel_core.forecast import P50, P95
from sentinel_core.sample import Sample, Valid
from sentinel_core.schedule import ScheduleLearner
from sentinel_core.signature import HAZARD_BINS
from sentinel_lab.sim.capacity import rolling_max, rolling_mean

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sentinel_core.events import Rule

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

HOLDS_S: Final = (0.0, 1.0, 10.0, 60.0, 300.0, 1_800.0)
"""How long a peak is held: from none to a half-hour, six times what an autoscaler's stabilisation usually is."""
HEADROOMS: Final = (1.0, 1.1, 1.25, 1.5, 2.0, 3.0)
MEANS_S: Final = (1.0, 10.0, 60.0, 300.0)
STATICS: Final = (0.5, 0.7, 0.8, 0.9, 0.95, 0.99, 0.999, 1.0)
"""Constant capacities, as quantiles of the demand of the half that is tuned on."""

FORETOLD_HOLDS_S: Final = (0.0, 1.0, 10.0, 60.0)
CHANCES: Final = (0.05, 0.2, 0.5, 0.9)
LEVELS: Final = (0.5, 0.9)
"""Of the peaks of earlier bursts: how much room is made for the next."""
REMEMBERED: Final = 32
SLACK_S: Final = 0.5
"""Forecasts come in whole seconds: room is made half of one early and kept half of one late."""
LONGEST_BURST_S: Final = 60.0

DEMANDED: Final = tuple((level, headroom) for level in (P50, P95) for headroom in (1.0, 1.25))
UNITS: Final = 1_000.0
"""A sample counts whole bytes; demand here is of requests or packets."""


def reactive(demand: Floats, bin_s: float, tuned: slice) -> Floats:
    """[rule, series, bin], knowing each bin's rate as soon as it begins."""
    found = []
    for hold in HOLDS_S:
        peak = rolling_max(demand, max(1, round(hold / bin_s)))
        found += [headroom * peak for headroom in HEADROOMS]
    for window in MEANS_S:
        mean = rolling_mean(demand, max(1, round(window / bin_s)))
        found += [headroom * mean for headroom in HEADROOMS]
    for quantile in STATICS:
        level = np.quantile(demand[:, tuned], quantile, axis=1)
        found.append(np.broadcast_to(level[:, None], demand.shape))
    return np.stack(found)


@dataclass(frozen=True, slots=True, eq=False)
class Bursts:
    """Of one series: first bin, first bin after it, and the highest rate within."""

    start: NDArray[np.int64]
    end: NDArray[np.int64]
    peak: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Walk:
    """What the product's learner said at the end of each bin, [series, bin, second], and the bursts it saw."""

    hazard: NDArray[np.float32]
    bursts: tuple[Bursts, ...]


def walk(demand: Floats, known: Bools, bin_s: float, rule: Rule) -> Walk:
    """The product's own learner over the whole series, a step a bin; it never sees a bin before it has ended."""
    series, bins = demand.shape
    learner = ScheduleLearner(series, bin_s, rule)
    hazard = np.zeros((series, bins, HAZARD_BINS), np.float32)
    began = np.zeros((series, bins), np.bool_)
    counts, nothing = demand * bin_s, np.zeros(series)
    for step in range(bins):
        began[:, step] = learner.step(counts[:, step], known[:, step], nothing)
        hazard[:, step] = learner.hazard()
    return Walk(hazard, tuple(bursts(demand[each], np.flatnonzero(began[each]), bin_s) for each in range(series)))


def bursts(rate: Floats, onsets: NDArray[np.int64], bin_s: float) -> Bursts:
    """A burst lasts until the rate is below half of its own peak."""
    longest = max(1, round(LONGEST_BURST_S / bin_s))
    ends, peaks = [], []
    for start in onsets.tolist():
        stretch = rate[start : start + longest]
        so_far = np.maximum.accumulate(stretch)
        below = np.flatnonzero(stretch < so_far / 2)
        end = int(below[0]) if below.size else len(stretch)
        ends.append(start + end)
        peaks.append(float(so_far[end - 1]))
    return Bursts(onsets, np.array(ends, np.int64), np.array(peaks))


def foretold(demand: Floats, seen: Walk, bin_s: float, latency_s: float) -> Floats:
    """[rule, series, bin]: what each combination of chance and level orders besides, for a latency after this bin."""
    rules = np.zeros((len(CHANCES) * len(LEVELS), *demand.shape))
    for series in range(len(demand)):
        past = _past(seen.bursts[series], demand.shape[1], bin_s)
        active = _active(seen.hazard[series], past, bin_s, latency_s)
        for index, (chance, level) in enumerate((c, v) for c in CHANCES for v in range(len(LEVELS))):
            rules[index, series] = np.where(active >= chance, past.level[level], 0.0)
    return rules


def demands(demand: Floats, bin_s: float) -> Floats:
    """[horizon, rule, series, bin]: the product's own forecast of demand, made once a second and kept until the next;
    with how much headroom it is obeyed is the rule."""
    series, bins = demand.shape
    if series > CLASSES:
        raise Invalid(f"demand of {series} series cannot be forecast at once: take at most {CLASSES}")
    every = max(1, round(1.0 / bin_s))
    forecaster, found = Smoothing(), np.zeros((len(HORIZONS_S), len(DEMANDED), series, bins))
    nothing, small = np.zeros(CLASSES, np.uint64), np.zeros(CLASSES, np.uint32)
    for step in range(every, bins + 1, every):
        column = nothing.copy()
        column[:series] = np.round(demand[:, step - every : step].sum(axis=1) * bin_s * UNITS)
        told = forecaster.predict(
            Sample(
                round(step * bin_s * 1e9), round(every * bin_s * 1e9), column, nothing, nothing, nothing, nothing,
                nothing, nothing, small, small, small, np.full(CLASSES, Valid.COUNTERS, np.uint8),
            )
        ).demand  # fmt: skip
        for index, (level, headroom) in enumerate(DEMANDED):
            kept = told[:series, :, level].T[:, :, None] * (headroom / UNITS)
            found[:, index, :, step - 1 : step - 1 + every] = kept
    return found


def demanded(made: Floats, latency_s: float) -> Floats:
    """[rule, series, bin]: at the first horizon that reaches over the latency; nothing far below the shortest."""
    if latency_s < min(HORIZONS_S) / 3:
        return made[0, :0]
    found: Floats = made[int(np.searchsorted(HORIZONS_S, latency_s))]
    return found


def told_exactly(demand: Floats, onsets: Sequence[Bursts], bin_s: float, latency_s: float) -> Floats:
    """[1, series, bin]: as the oracle orders, who knows each burst's beginning, end and peak."""
    found = np.zeros((1, *demand.shape))
    ahead = round(latency_s / bin_s) + 1
    slack = max(1, round(SLACK_S / bin_s))
    for series, mine in enumerate(onsets):
        for start, end, peak in zip(mine.start.tolist(), mine.end.tolist(), mine.peak.tolist(), strict=True):
            first, last = max(0, start - slack - ahead), max(0, end + 1 - ahead)
            found[0, series, first:last] = np.maximum(found[0, series, first:last], peak)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class _Past:
    """At each bin, of the bursts that were over by then: quantiles of their peaks, how long they last, and how long ago
    the last one began."""

    level: Floats
    lasting_s: Floats
    since_s: Floats


def _past(mine: Bursts, bins: int, bin_s: float) -> _Past:
    level, lasting = np.zeros((len(LEVELS), bins)), np.zeros(bins)
    order = np.argsort(mine.end, kind="stable")
    for count, at in enumerate(mine.end[order].tolist(), start=1):
        last = order[max(0, count - REMEMBERED) : count]
        level[:, at:] = np.quantile(mine.peak[last], LEVELS)[:, None]
        lasting[at:] = float(np.median((mine.end - mine.start)[last])) * bin_s
    starts = np.concatenate([[-(10**9)], mine.start])
    since = np.arange(bins) - starts[np.searchsorted(mine.start, np.arange(bins), side="right")]
    return _Past(level, lasting, (since + 1) * bin_s)


def _active(hazard: NDArray[np.float32], past: _Past, bin_s: float, latency_s: float) -> Floats:
    """The chance that a burst is under way one latency after each bin's end: one that is still to begin, or the last
    that was seen, as long as such bursts last."""
    surely = np.concatenate([np.zeros((len(hazard), 1)), 1.0 - np.cumprod(1.0 - hazard.astype(np.float64), axis=1)], 1)
    at_s = latency_s + bin_s / 2
    until = _within(surely, np.full(len(hazard), at_s + SLACK_S))
    gone = _within(surely, np.maximum(0.0, at_s - past.lasting_s - SLACK_S))
    still = past.since_s + at_s <= past.lasting_s
    return np.where(still, 1.0, np.maximum(until - gone, 0.0))


def _within(cumulated: Floats, seconds: Floats) -> Floats:
    """The chance of an onset within so many seconds, even inside of each, and unknown beyond the horizon."""
    bounded = np.minimum(seconds, HAZARD_BINS)
    low = np.minimum(bounded.astype(np.int64), HAZARD_BINS - 1)
    rows = np.arange(len(cumulated))
    below = cumulated[rows, low]
    found: Floats = below + (bounded - low) * (cumulated[rows, low + 1] - below)
    return found


def held_bases(plain: Floats) -> Floats:
    """Of the reactive rules those that hold a peak for a minute at most: what foresight builds upon."""
    kept = HOLDS_S.index(max(FORETOLD_HOLDS_S)) + 1
    return plain[: kept * len(HEADROOMS)]
