"""Experts on when a class's bursts begin, each from the class's own past in bounded memory.

Every expert answers for the next seconds with a log ratio: how much likelier an onset is then than on average. An
expert that knows nothing answers 0, since all of them start from a pseudo-count at the average.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]
    Ints = NDArray[np.int64]

CALENDAR: Final = (
    (10, 1), (15, 1), (20, 1), (30, 1), (60, 1), (120, 2), (300, 5), (600, 5), (900, 5), (1800, 10), (3600, 10),
    (7200, 15), (86_400, 30),
)  # fmt: skip
"""Periods and bin widths in seconds: what people put into timetables. A bin is as wide as such jobs are late."""

MEMORY_S: Final = 3_600.0
LEAST_CYCLES, MOST_CYCLES = 6.0, 60.0
"""A fold remembers an hour, but at least so many cycles of long periods and at most so many of short ones."""

PSEUDO_ONSETS: Final = 0.5
LOG_BOUND: Final = 5.0


def log_ratio(onsets: Floats, expected: Floats, pseudo: float = PSEUDO_ONSETS) -> Floats:
    ratio: Floats = np.log((onsets + pseudo) / (expected + pseudo))
    return np.minimum(np.maximum(ratio, -LOG_BOUND), LOG_BOUND)


class Folds:
    """Onsets and time observed by phase of each calendar period."""

    def __init__(self, series: int) -> None:
        self._periods = np.array([period for period, _ in CALENDAR])[:, None]
        self._widths = np.array([width for _, width in CALENDAR])[:, None]
        bins = self._periods // self._widths
        self._offsets = np.cumsum(bins, axis=0) - bins
        total = int(bins.sum())
        self._onsets, self._seen = np.zeros((series, total)), np.zeros((series, total))
        each = np.arange(total)
        last = (self._offsets + bins - 1)[:, 0]
        self._right = each + 1
        self._right[last] = self._offsets[:, 0]
        self._left = each - 1
        self._left[self._offsets[:, 0]] = last
        cycles = np.clip(MEMORY_S / self._periods, LEAST_CYCLES, MOST_CYCLES)
        self._keep = ((1.0 - 1.0 / cycles) ** (1.0 / self._widths))[:, 0]

    def _bins(self, seconds: Ints) -> Ints:
        found: Ints = self._offsets + seconds % self._periods // self._widths
        return found

    def ahead(self, seconds: Ints, base: Floats) -> Floats:
        """[series, periods, seconds]."""
        at = self._bins(seconds)
        left, right = self._left[at], self._right[at]
        onsets, seen = self._onsets, self._seen
        came = 0.5 * onsets[:, at] + 0.25 * (onsets[:, left] + onsets[:, right])
        observed = 0.5 * seen[:, at] + 0.25 * (seen[:, left] + seen[:, right])
        return log_ratio(came, observed * base[:, None, None])

    def learn(self, second: int, came: Floats, known: Floats) -> None:
        at = self._bins(np.array([second]))[:, 0]
        keep = 1.0 - (1.0 - self._keep) * known[:, None]
        self._onsets[:, at] = self._onsets[:, at] * keep + came[:, None]
        self._seen[:, at] = self._seen[:, at] * keep + known[:, None]


FINE_AGES: Final = 128
AGE_GROWTH: Final = 1.1
AGES: Final = FINE_AGES + 96
"""Time since an onset: by seconds first, then by tenths of itself, up to beyond a week."""


class Renewal:
    """Onsets by the time since the last one, and since the one before it."""

    BACK: Final = 2

    def __init__(self, series: int) -> None:
        self._onsets, self._seen = np.zeros((self.BACK, series, AGES + 2)), np.zeros((self.BACK, series, AGES + 2))
        self._last = np.full((self.BACK, series), -1e7)
        self._which = np.arange(self.BACK)[:, None, None], np.arange(series)[None, :, None]
        self._keep = 1.0 - 1.0 / 200.0  # visits of a bin

    def _bins(self, seconds: Ints) -> Ints:
        age = seconds - self._last[:, :, None]
        coarse = FINE_AGES + np.log(np.maximum(age, FINE_AGES) / FINE_AGES) / np.log(AGE_GROWTH)
        found: Ints = np.minimum(np.where(age < FINE_AGES, age, coarse), AGES).astype(np.int64)
        return found

    def ahead(self, seconds: Ints, base: Floats) -> Floats:
        """[back, series, seconds]."""
        at = self._bins(seconds)
        onsets, seen = self._onsets, self._seen
        which, each = self._which
        low = np.maximum(at - 1, 0)
        came = 0.5 * onsets[which, each, at] + 0.25 * (onsets[which, each, low] + onsets[which, each, at + 1])
        observed = 0.5 * seen[which, each, at] + 0.25 * (seen[which, each, low] + seen[which, each, at + 1])
        return log_ratio(came, observed * base[None, :, None])

    def learn(self, second: int, came: Floats, known: Floats) -> None:
        at = self._bins(np.array([second]))
        keep = 1.0 - (1.0 - self._keep) * known[None, :, None]
        place = (*self._which, at)
        self._onsets[place] = self._onsets[place] * keep + came[None, :, None]
        self._seen[place] = self._seen[place] * keep + known[None, :, None]
        begun = came > 0
        self._last[1, begun] = self._last[0, begun]
        self._last[0, begun] = second


LAGS: Final = 192
PAIR_PSEUDO_ONSETS: Final = 4.0
"""More than elsewhere: many lags are summed, and each of them sees few onsets."""


class Pairs:
    """Onsets by their distance from every mark of the last minutes, so that several rhythms at once are told apart."""

    def __init__(self, series: int, ahead: int) -> None:
        self._marks = np.zeros((series, LAGS))  # newest first
        self._onsets, self._seen = np.zeros((series, LAGS)), np.zeros((series, LAGS))
        self._padded = np.zeros((series, LAGS + ahead))
        self._windows = np.lib.stride_tricks.sliding_window_view(self._padded, LAGS, axis=1)[:, :ahead]
        self._keep = 1.0 - 1.0 / 7_200.0

    def ahead(self, base: Floats) -> Floats:
        """[series, seconds]: the next second is at distance 1 of the newest mark."""
        came, observed = _with_neighbours(self._onsets), _with_neighbours(self._seen)
        self._padded[:, :LAGS] = log_ratio(came, observed * base[:, None], PAIR_PSEUDO_ONSETS)
        found: Floats = np.einsum("ckl,cl->ck", self._windows, self._marks)
        return np.minimum(np.maximum(found, -LOG_BOUND), LOG_BOUND)

    def learn(self, came: Floats, known: Floats, mark: Floats) -> None:
        fresh = self._marks * known[:, None]
        self._seen = self._seen * self._keep + fresh
        self._onsets = self._onsets * self._keep + fresh * came[:, None]
        self._marks[:, 1:] = self._marks[:, :-1]
        self._marks[:, 0] = mark

    def skip(self, seconds: int) -> None:
        """As so many seconds of which nothing was known."""
        shift = min(seconds, LAGS)
        self._marks[:, shift:] = self._marks[:, : LAGS - shift].copy()
        self._marks[:, :shift] = 0.0
        self._seen *= self._keep**seconds
        self._onsets *= self._keep**seconds


def _with_neighbours(by_lag: Floats) -> Floats:
    """A jitter of about a second moves an onset to the lag next to it."""
    spread = 0.4 * by_lag
    spread[:, 1:] += 0.3 * by_lag[:, :-1]
    spread[:, :-1] += 0.3 * by_lag[:, 1:]
    return spread
