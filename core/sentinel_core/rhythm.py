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
        """[series, seconds, periods]."""
        at = self._bins(seconds).T
        near = np.stack([at, self._left[at], self._right[at]])
        came, observed = (_weighed(kept[:, near].transpose(1, 0, 2, 3)) for kept in (self._onsets, self._seen))
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
        """[series, seconds, back]."""
        at = self._bins(seconds).transpose(1, 2, 0)
        near = np.stack([at, np.maximum(at - 1, 0), at + 1])
        each, which = np.arange(len(base))[:, None, None], np.arange(self.BACK)
        came, observed = (_weighed(kept[which, each, near]) for kept in (self._onsets, self._seen))
        return log_ratio(came, observed * base[:, None, None])

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
    """Onsets by their distance from every mark of the last minutes, so that several rhythms at once are told apart.

    Two kinds of marks, each an expert of its own: onsets, and swells.
    """

    def __init__(self, series: int, ahead: int) -> None:
        self._marks = np.zeros((2, series, LAGS))  # newest first
        self._counted = np.zeros((2, 2, series, LAGS))  # onsets, and what was seen; by kind
        self._padded = np.zeros((2, series, LAGS + ahead))
        self._windows = np.lib.stride_tricks.sliding_window_view(self._padded, LAGS, axis=2)[:, :, :ahead]
        self._keep = 1.0 - 1.0 / 7_200.0

    def ahead(self, base: Floats) -> Floats:
        """[series, seconds, kinds]: the next second is at distance 1 of the newest mark."""
        came, observed = _with_neighbours(self._counted)
        self._padded[:, :, :LAGS] = log_ratio(came, observed * base[:, None], PAIR_PSEUDO_ONSETS)
        found: Floats = np.matmul(self._windows, self._marks[..., None])[..., 0].transpose(1, 2, 0)
        return np.minimum(np.maximum(found, -LOG_BOUND), LOG_BOUND)

    def learn(self, came: Floats, known: Floats, swelled: Floats) -> None:
        fresh = self._marks * known[:, None]
        self._counted *= self._keep
        self._counted[0] += fresh * came[:, None]
        self._counted[1] += fresh
        self._marks[:, :, 1:] = self._marks[:, :, :-1]
        self._marks[0, :, 0], self._marks[1, :, 0] = came, swelled

    def skip(self, seconds: int) -> None:
        """As so many seconds of which nothing was known."""
        shift = min(seconds, LAGS)
        self._marks[:, :, shift:] = self._marks[:, :, : LAGS - shift].copy()
        self._marks[:, :, :shift] = 0.0
        self._counted *= self._keep**seconds


def _weighed(near: Floats) -> Floats:
    """A bin and the ones beside it: [3, …], the middle first."""
    found: Floats = 0.5 * near[0] + 0.25 * (near[1] + near[2])
    return found


def _with_neighbours(by_lag: Floats) -> Floats:
    """A jitter of about a second moves an onset to the lag next to it."""
    spread = 0.4 * by_lag
    spread[..., 1:] += 0.3 * by_lag[..., :-1]
    spread[..., :-1] += 0.3 * by_lag[..., 1:]
    return spread
