"""The period that a class's last onsets keep, whatever timetable it comes from: found by regression, not by a bank."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

REMEMBERED: Final = 24
LEAST: Final = 4
"""Three equal gaps are the least that anybody should call a rhythm."""
DIVISORS: Final = np.array([1.0, 2.0, 3.0])[:, None]
"""Of a gap: one or two onsets may have been missed in it."""
EVIDENCE_NATS: Final = 7.0
"""Some forty candidates are tried at each onset, so the best of them looks good by log 40 alone."""
NORMAL_ENTROPY: Final = 4.133
"""√(2πe): a normal distribution is as wide as a uniform one of so many of its standard deviations."""
LOGISTIC_SCALE: Final = 0.5513
"""Of the logistic distribution that looks like a normal one; it has tails, and its integral needs no table."""
MOST_HAZARD: Final = 0.98
LOG_LOW, LOG_HIGH = -3.0, 8.0


class Rhythm:
    """Period, phase and jitter of each series; series without a rhythm say nothing."""

    def __init__(self, series: int, ahead: int, finest_s: float) -> None:
        self._times: list[list[float]] = [[] for _ in range(series)]
        self._edges = np.arange(ahead + 1, dtype=np.float64)
        self._finest_s = finest_s
        self.period_s: Floats = np.zeros(series)
        self.jitter_s: Floats = np.ones(series)
        self._anchor: Floats = np.zeros(series)
        self._last: Floats = np.full(series, -1e9)
        self._hits: Floats = np.zeros(series)
        self._slots_before: Floats = np.zeros(series)

    def onset(self, series: int, at_s: float) -> None:
        times = self._times[series]
        times.append(at_s)
        del times[:-REMEMBERED]
        self._last[series] = at_s
        self.period_s[series] = 0.0
        if len(times) >= LEAST:
            self._fit(series, np.array(times))

    def ahead(self, now_s: float, base: Floats) -> Floats:
        """[series, seconds] log ratios."""
        found = self.period_s > 0
        period = np.where(found, self.period_s, 1e6)
        due = (self._anchor - now_s) % period
        slots = self._slots_before + np.maximum(now_s - self._anchor, 0.0) / period
        kept = np.minimum((self._hits + 0.5) / (slots + 1.0), 1.0)
        near = 3.0 * self.jitter_s
        mass = np.zeros((len(period), len(self._edges)))
        for cycle in (-1.0, 0.0, 1.0):
            expected = due + cycle * period
            # One onset a slot: what has already come is not expected again.
            open_ = np.abs(self._last - now_s - expected) > np.minimum(near, 0.45 * period)
            late = (self._edges - expected[:, None]) / (LOGISTIC_SCALE * self.jitter_s)[:, None]
            mass += (kept * open_)[:, None] / (1.0 + np.exp(-np.clip(late, -30.0, 30.0)))
        # Of the slots before now only what is still open and may yet come counts.
        left = np.maximum(1.0 - (mass - np.floor(mass[:, :1])), 1.0 - MOST_HAZARD)[:, :-1]
        hazard = np.clip((mass[:, 1:] - mass[:, :-1]) / left, 1e-9, MOST_HAZARD)
        return np.where(found[:, None], np.clip(np.log(hazard / base[:, None]), LOG_LOW, LOG_HIGH), 0.0)

    def _fit(self, series: int, times: Floats) -> None:
        """The candidate whose slots explain the onsets best, if by more than chance would."""
        gaps = np.unique(np.concatenate([np.diff(times)[-10:], (times[2:] - times[:-2])[-4:]]))
        period = np.unique((gaps / DIVISORS).ravel())
        period = period[period >= 4.0 * self._finest_s]
        if not len(period):
            return
        anchor = np.full(len(period), times[-1])
        weight = np.ones((len(period), len(times)))
        jitter = period
        for _ in range(3):
            slot = np.round((times - anchor[:, None]) / period[:, None])
            period, anchor = _line(slot, times, weight, period)
            late = np.abs(times - anchor[:, None] - slot * period[:, None])
            jitter = np.maximum(np.sqrt((weight * late**2).sum(axis=1) / weight.sum(axis=1)), self._finest_s / 2)
            weight = (late <= np.maximum(3.0 * np.minimum(jitter, 0.12 * period), self._finest_s)[:, None]) + 1e-6
        hits = np.floor(weight).sum(axis=1)
        slots = np.maximum((times[-1] - times[0]) / period + 1.0, hits)
        foreign = len(times) - hits
        share = np.clip(hits / slots, 0.02, 0.98)
        gain = hits * np.log(period / (NORMAL_ENTROPY * jitter)) - foreign
        gain += hits * np.log(share) + (slots - hits) * np.log(1.0 - share)
        best = int(gain.argmax())
        if hits[best] >= LEAST and gain[best] > EVIDENCE_NATS:
            self.period_s[series], self.jitter_s[series] = period[best], jitter[best] * (1.0 + 1.0 / hits[best])
            self._anchor[series], self._hits[series] = anchor[best], hits[best]
            self._slots_before[series] = slots[best] - (times[-1] - anchor[best]) / period[best]


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
