"""The rhythms that a class's last bursts keep, whatever timetable they come from: found by regression, not by a bank.

Several jobs may run at once, each with a period of its own. The rhythm that explains most is found first; what it
does not explain is asked for the next one.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

REMEMBERED: Final = 48
LEAST: Final = 4
"""Three equal gaps are the least that anybody should call a rhythm."""
DISTANCES: Final = (1, 2, 3, 4)
"""Marks apart: with a second rhythm or stray bursts in between, a period is the distance to a later mark."""
RECENT: Final = 10
DIVISORS: Final = np.array([1.0, 2.0, 3.0])[:, None]
"""Of a gap: one or two onsets may have been missed in it."""
CANDIDATES: Final = 12
ANCHORS: Final = 5
REACHES: Final = (6, 12, 24, 10**6)
"""Slots from the anchor: a period taken from two marks is too coarse to name a slot far away."""
FIRST_WIDTH, WIDEST = 0.08, 0.12
"""Of a period: how far from its slot a mark may be, at first and in standard deviations later."""
ALIKE: Final = 0.04
"""Gaps that differ by no more of themselves speak for one period."""
EVIDENCE_NATS: Final = 10.0
"""Some fifty candidates are tried at each onset, each with a period, a phase and a width of its own."""
NORMAL_ENTROPY: Final = 4.133
"""√(2πe): a normal distribution is as wide as a uniform one of so many of its standard deviations."""
LOGISTIC_SCALE: Final = 0.5513
"""Of the logistic distribution that looks like a normal one; it has tails, and its integral needs no table."""
MOST_HAZARD: Final = 0.98
LOW, HIGH = -3.0, 9.0


@dataclass(slots=True)
class _Kept:
    """One rhythm in each series: [series] columns; a period of 0 is none."""

    period_s: Floats
    jitter_s: Floats
    anchor: Floats
    last: Floats
    hits: Floats
    slots_before: Floats


def _none(series: int) -> _Kept:
    return _Kept(*(np.full(series, value) for value in (0.0, 1.0, 0.0, -1e9, 0.0, 0.0)))


class Rhythms:
    """Periods, phases and jitters of each series; series without a rhythm say nothing."""

    def __init__(self, series: int, ahead: int, finest_s: float) -> None:
        self._times: list[list[float]] = [[] for _ in range(series)]
        self._edges = np.arange(ahead + 1, dtype=np.float64)
        self._finest_s = finest_s
        self._due: deque[int] = deque()
        self._half: tuple[int, Floats] | None = None
        """The series whose first rhythm is fitted anew, and the marks that it leaves to the second."""
        self._kept = _none(series), _none(series)

    @property
    def period_s(self) -> Floats:
        """Of the rhythm that explains most, 0 where there is none."""
        return self._kept[0].period_s

    def mark(self, series: int, at_s: float) -> None:
        """A burst began, or would have begun had not another just done so; what it teaches waits for a refit."""
        times = self._times[series]
        times.append(at_s)
        del times[:-REMEMBERED]
        for kept in self._kept:
            kept.last[series] = at_s
        if series not in self._due:
            self._due.append(series)

    def refit_one(self) -> None:
        """One rhythm of one series: a fit is the longest thing that is ever done at once."""
        if self._half is not None:
            (series, left), self._half = self._half, None
            self._refit(self._kept[1], series, left)
        elif self._due:
            series = self._due.popleft()
            self._half = series, self._refit(self._kept[0], series, np.array(self._times[series]))

    def refit_all(self) -> None:
        while self._half is not None or self._due:
            self.refit_one()

    def _refit(self, kept: _Kept, series: int, times: Floats) -> Floats:
        """The marks that it does not explain."""
        kept.period_s[series] = 0.0
        return times[~self._fit(kept, series, times)] if len(times) >= LEAST else times

    def ahead(self, now_s: float, log_base: Floats) -> Floats:
        """[series, seconds]: by how much the logit of a second's chance is above that of the average."""
        quiet = np.ones((len(log_base), len(self._edges) - 1))
        found = np.zeros(len(log_base), np.bool_)
        for kept in self._kept:
            some = kept.period_s > 0
            if some.any():
                quiet *= 1.0 - np.where(some[:, None], self._hazard(kept, now_s), 0.0)
                found |= some
        hazard = np.maximum(1.0 - quiet, 1e-9)
        logit = np.log(hazard / np.maximum(quiet, 1.0 - MOST_HAZARD)) - log_base[:, None]
        return np.where(found[:, None], np.minimum(np.maximum(logit, LOW), HIGH), 0.0)

    def _hazard(self, kept: _Kept, now_s: float) -> Floats:
        period = np.where(kept.period_s > 0, kept.period_s, 1e6)
        due = (kept.anchor - now_s) % period
        slots = kept.slots_before + np.maximum(now_s - kept.anchor, 0.0) / period
        share = np.minimum((kept.hits + 0.8) / (slots + 1.0), 1.0)
        near = 3.0 * kept.jitter_s
        mass = np.zeros((len(period), len(self._edges)))
        for cycle in (-1.0, 0.0, 1.0):
            expected = due + cycle * period
            # One onset a slot: what has already come is not expected again.
            open_ = np.abs(kept.last - now_s - expected) > np.minimum(near, 0.45 * period)
            late = (self._edges - expected[:, None]) / (LOGISTIC_SCALE * kept.jitter_s)[:, None]
            mass += (share * open_)[:, None] / (1.0 + np.exp(-np.minimum(np.maximum(late, -30.0), 30.0)))
        # Of the slots before now only what is still open and may yet come counts.
        left = np.maximum(1.0 - (mass - np.floor(mass[:, :1])), 1.0 - MOST_HAZARD)[:, :-1]
        return np.minimum(np.maximum((mass[:, 1:] - mass[:, :-1]) / left, 1e-9), MOST_HAZARD)

    def _fit(self, kept: _Kept, series: int, times: Floats) -> Bools:
        """The candidate whose slots explain the marks best, if by more than chance would; true for what it explains."""
        fit = _best(times, self._finest_s)
        if fit is None:
            return np.zeros(len(times), np.bool_)
        kept.period_s[series], kept.anchor[series] = fit.period, fit.anchor
        kept.hits[series] = hits = fit.explained.sum()
        kept.jitter_s[series] = fit.jitter * (1.0 + 1.0 / hits)
        kept.slots_before[series] = fit.slots - (times[-1] - fit.anchor) / fit.period
        kept.last[series] = times[fit.explained].max()
        return fit.explained


@dataclass(frozen=True, slots=True)
class _Fit:
    period: float
    anchor: float
    jitter: float
    slots: float
    explained: Bools


def _best(times: Floats, finest_s: float) -> _Fit | None:
    """Every likely period from every recent mark; what it explains is fitted nearby first, then ever further back."""
    tried = _candidates(times, 4.0 * finest_s)
    if not len(tried):
        return None
    period = np.repeat(tried, len(times[-ANCHORS:]))
    anchor = np.tile(times[-ANCHORS:], len(tried))
    jitter: Floats = FIRST_WIDTH / 3.0 * period
    for reach in REACHES:
        slot: Floats = np.round((times - anchor[:, None]) / period[:, None])
        late = np.abs(times - anchor[:, None] - slot * period[:, None])
        width = np.maximum(3.0 * np.minimum(jitter, WIDEST * period), finest_s)[:, None]
        inside = (late <= width) & (np.abs(slot) <= reach)
        # One a slot: of two marks near it the further one is a stray.
        twice = inside[:, 1:] & inside[:, :-1] & (slot[:, 1:] == slot[:, :-1])
        inside[:, 1:] &= ~(twice & (late[:, 1:] > late[:, :-1]))
        inside[:, :-1] &= ~(twice & (late[:, 1:] <= late[:, :-1]))
        weight: Floats = np.where(inside, 1.0, 1e-9)
        period, anchor = _line(slot, times, weight, period)
        late = np.abs(times - anchor[:, None] - slot * period[:, None])
        jitter = np.maximum(np.sqrt((weight * late**2).sum(axis=1) / weight.sum(axis=1)), finest_s / 2)
    hits: Floats = inside.sum(axis=1, dtype=np.float64)
    slots = np.maximum((times[-1] - times[0]) / period + 1.0, hits)
    gain = _evidence(hits, slots, jitter * (1.0 + 1.0 / np.maximum(hits, 1)), times)
    best = int(gain.argmax())
    if hits[best] < LEAST or gain[best] <= EVIDENCE_NATS:
        return None
    return _Fit(float(period[best]), float(anchor[best]), float(jitter[best]), float(slots[best]), inside[best])


def _candidates(times: Floats, least_s: float) -> Floats:
    """Gaps that many pairs of marks keep, and those of the last marks, each also taken as two or three periods."""
    gaps = np.concatenate([times[apart:] - times[:-apart] for apart in DISTANCES if apart < len(times)])
    recent = np.diff(times)[-RECENT:]
    ordered = np.sort(gaps)
    near = np.searchsorted(ordered, ordered * (1 + ALIKE)) - np.searchsorted(ordered, ordered * (1 - ALIKE))
    common = ordered[np.argsort(-near / np.sqrt(ordered), kind="stable")[::4][:CANDIDATES]]
    period = np.unique((np.concatenate([recent, common]) / DIVISORS).ravel())
    period = period[period >= least_s]
    found: Floats = period[np.append(True, np.diff(period) > 0.002 * period[1:])] if len(period) else period
    return found


def _evidence(hits: Floats, slots: Floats, jitter: Floats, times: Floats) -> Floats:
    """Nats by which a rhythm with stray marks beside it explains the marks better than strays alone."""
    marks = float(len(times))
    stray = marks - hits
    spacing = (times[-1] - times[0]) / marks
    share = np.minimum(np.maximum(hits / slots, 0.02), 0.98)
    gain = hits * (1.0 + np.log(spacing / (NORMAL_ENTROPY * jitter)))
    gain += np.where(stray > 0, stray * np.log(np.maximum(stray, 1.0) / marks), 0.0)
    found: Floats = gain + hits * np.log(share) + (slots - hits) * np.log(1.0 - share)
    return found


def _line(slot: Floats, times: Floats, weight: Floats, period: Floats) -> tuple[Floats, Floats]:
    """Least squares of time over slot number for each candidate: its period, and the time of slot 0 (the newest)."""
    total = weight.sum(axis=1)
    mid_slot = (weight * slot).sum(axis=1) / total
    mid_time = (weight * times).sum(axis=1) / total
    apart = slot - mid_slot[:, None]
    spread = (weight * apart**2).sum(axis=1)
    slope = (weight * apart * (times - mid_time[:, None])).sum(axis=1) / np.maximum(spread, 1e-9)
    period = np.where((spread > 0) & (slope > 0), slope, period)
    return period, mid_time - mid_slot * period
