"""How much a class will need in half a minute to five: simple forecasters side by side, believed as they were right.

Time is cut into slots of ten seconds. Each forecaster names the rate of a slot to come, and the spread of its own
past errors makes quantiles of it; their mean, weighed by what each of them lost lately, is the answer. So it is never
much worse than the best of them, whichever that is for this class.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from sentinel_api.records import HORIZONS_S
from sentinel_core.signature import DEMAND_LEVELS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

SLOT_S: Final = 10.0
SPREAD_BELOW_S: Final = 0.5
AHEAD: Final = np.array([round(horizon / SLOT_S) for horizon in HORIZONS_S])
"""The slot that ends at each horizon."""
RING: Final = int(AHEAD.max()) + 1
LEVELS: Final = np.array(DEMAND_LEVELS)

MEANS_S: Final = np.array([30.0, 120.0, 600.0, 3_600.0])
SEASONS: Final = ((60, 10), (300, 10), (900, 10), (1_800, 10), (3_600, 10), (86_400, 300))
"""Periods and bins in seconds; a bin's value is its ratio to the mean of ten minutes."""
SEASON_SHARES: Final = (0.1, 0.15, 0.2, 0.2, 0.25, 0.03)
"""What a new slot weighs in its bin; a day's bin is of thirty slots."""
TREND_LEVEL, TREND_SLOPE, TREND_DAMPING = 0.3, 0.05, 0.9
WINTERS_LEVEL, WINTERS_SEASON = 0.1, 0.2
FORECASTERS: Final = (
    "last",
    "mean_30",
    "mean_120",
    "mean_600",
    "mean_3600",
    "trend",
    "winters",
    *(f"season_{period}" for period, _ in SEASONS),
)
SEASON_MEAN: Final = 2
WINTERS_SLOTS: Final = 6

LOSS_SLOTS: Final = 1_080.0
"""Three hours of losses decide who is believed."""
SHARPNESS: Final = 60.0
"""A forecaster that lost one hundredth more than the best weighs half of it."""
OFFSET_STEP: Final = 0.02
FIRST_OFFSETS: Final = np.array([-1.5, 0.0, 2.0])
SPREAD_SLOTS: Final = 90.0


class DemandLearner:
    """`step` once a period with bytes a second; `quantiles` answers. Unknown time changes nothing.

    What a short step brought is taken in by `ponder`, or else by the next step."""

    def __init__(self, series: int, step_s: float) -> None:
        self._step_s = step_s
        self._slot = 0
        # Slots end in the middle of a second, where the other learners have nothing to do.
        self._left_s = SLOT_S - (0.5 if step_s < SPREAD_BELOW_S else 0.0)
        self._fresh: tuple[Floats, Bools] | None = None
        self._sum, self._known_s = np.zeros(series), np.zeros(series)
        self._started = np.zeros(series, np.bool_)
        self._means = np.zeros((series, len(MEANS_S)))
        self._last, self._level, self._trend = np.zeros(series), np.zeros(series), np.zeros(series)
        self._winters, self._minute = np.zeros(series), np.zeros((series, WINTERS_SLOTS))
        self._seasons = [np.ones((series, period // width)) for period, width in SEASONS]
        shape = (series, len(FORECASTERS), len(AHEAD))
        self._offsets = np.tile(FIRST_OFFSETS, (*shape, 1))
        self._spread, self._loss = np.zeros(shape), np.zeros(shape)
        self._said = np.full((RING, *shape, len(LEVELS)), np.nan)
        self._points = np.full((RING, *shape), np.nan)
        self._settled = np.zeros(shape)
        self.forecasters: Floats = np.zeros((*shape, len(LEVELS)))
        """Each one's own quantiles: [series, forecaster, horizon, level]."""
        self.quantiles: Floats = np.zeros((series, len(AHEAD), len(LEVELS)))
        self.ended: tuple[Floats, Bools] | None = None
        """The rate of the slot that ended with the last step, and where it was measured."""

    @property
    def started(self) -> Bools:
        """Where a slot was measured, so that there is an answer."""
        return self._started

    @property
    def mean_bps(self) -> Floats:
        """Of ten minutes: the scale of a class."""
        found: Floats = self._means[:, SEASON_MEAN]
        return found

    def step(self, bytes_per_s: Floats, known: Bools) -> None:
        self.ponder()
        self.ended = None
        self._fresh = bytes_per_s, known
        if self._step_s >= SPREAD_BELOW_S:
            self.ponder()

    def ponder(self) -> None:
        if self._fresh is None:
            return
        (bytes_per_s, known), self._fresh = self._fresh, None
        self._sum += np.where(known, bytes_per_s, 0.0) * self._step_s
        self._known_s += known * self._step_s
        self._left_s -= self._step_s
        if self._left_s <= 1e-6:
            self._end_slot()

    def skip(self, steps: int) -> None:
        """As so many steps of which nothing was known: the slots that pass are forgotten, phases are kept."""
        self.ponder()
        passed_s = steps * self._step_s - self._left_s
        if passed_s < 0:
            self._left_s -= steps * self._step_s
            return
        self._end_slot()
        slots, into_s = divmod(passed_s + 1e-9, SLOT_S)
        self._slot += int(slots)
        self._left_s = SLOT_S - into_s
        if slots:
            self._said[:], self._points[:] = np.nan, np.nan

    def _end_slot(self) -> None:
        known = self._known_s > 0.5 * SLOT_S
        rate = np.where(known, self._sum / np.maximum(self._known_s, 1e-9), 0.0)
        self._sum, self._known_s = np.zeros_like(self._sum), np.zeros_like(self._known_s)
        self._left_s += SLOT_S
        self._judge(rate, known)
        self._learn(rate, known)
        self.ended = rate, known
        self._slot += 1
        self._speak()

    def _judge(self, rate: Floats, known: Bools) -> None:
        """Each forecaster by what it said of the slot that just ended."""
        at = (self._slot - AHEAD) % RING
        which = np.arange(len(AHEAD))
        said = self._said[at, :, :, which].transpose(1, 2, 0, 3)
        point = self._points[at, :, :, which].transpose(1, 2, 0)
        answered = known[:, None, None] & ~np.isnan(point)
        if not answered.any():
            return
        came = rate[:, None, None]
        error = np.where(answered, came - point, 0.0)
        beyond = np.where(answered[..., None], came[..., None] - said, 0.0)
        loss = np.where(beyond >= 0, LEVELS * beyond, (LEVELS - 1.0) * beyond).sum(axis=-1)
        self._settled += answered
        share = np.where(answered, np.maximum(1.0 / np.maximum(self._settled, 1.0), 1.0 / LOSS_SLOTS), 0.0)
        self._loss += share * (loss - self._loss)
        share = np.where(answered, np.maximum(1.0 / np.maximum(self._settled, 1.0), 1.0 / SPREAD_SLOTS), 0.0)
        self._spread += share * (np.abs(error) - self._spread)
        missed = np.where(beyond > 0, LEVELS, LEVELS - 1.0)
        self._offsets += np.where(answered[..., None], 3.0 * OFFSET_STEP * missed, 0.0)

    def _learn(self, rate: Floats, known: Bools) -> None:
        fresh = known & ~self._started
        self._means[fresh] = rate[fresh, None]
        self._level[fresh], self._winters[fresh] = rate[fresh], rate[fresh]
        self._started |= known
        share = np.minimum(SLOT_S / MEANS_S, 1.0)
        self._means += known[:, None] * share * (rate[:, None] - self._means)
        self._last = np.where(known, rate, self._last)
        before = self._level
        expected = self._level + TREND_DAMPING * self._trend
        self._level = np.where(known, expected + TREND_LEVEL * (rate - expected), self._level)
        slope = TREND_SLOPE * (self._level - before) + (1.0 - TREND_SLOPE) * TREND_DAMPING * self._trend
        self._trend = np.where(known, slope, self._trend)
        minute = self._minute[:, self._slot % WINTERS_SLOTS]
        error = np.where(known, rate - self._winters - minute, 0.0)
        self._winters = self._winters + WINTERS_LEVEL * error
        self._minute[:, self._slot % WINTERS_SLOTS] += WINTERS_SEASON * error
        ratio = np.minimum(rate / np.maximum(self._means[:, SEASON_MEAN], 1.0), 20.0)
        for share_of, table, (period, width) in zip(SEASON_SHARES, self._seasons, SEASONS, strict=True):
            at = int(self._slot * SLOT_S) % period // width
            table[:, at] += np.where(known, share_of * (ratio - table[:, at]), 0.0)

    def _speak(self) -> None:
        coming = self._slot - 1 + AHEAD
        series, horizons = len(self._level), len(AHEAD)
        point = np.empty((series, len(FORECASTERS), horizons))
        point[:, 0] = self._last[:, None]
        point[:, 1 : 1 + len(MEANS_S)] = self._means[:, :, None]
        damped = TREND_DAMPING * (1.0 - TREND_DAMPING**AHEAD) / (1.0 - TREND_DAMPING)
        point[:, 5] = self._level[:, None] + self._trend[:, None] * damped
        point[:, 6] = self._winters[:, None] + self._minute[:, coming % WINTERS_SLOTS]
        for at, (table, (period, width)) in enumerate(zip(self._seasons, SEASONS, strict=True)):
            bins = (coming * SLOT_S).astype(np.int64) % period // width
            point[:, 7 + at] = self._means[:, SEASON_MEAN, None] * table[:, bins]
        point = np.maximum(point, 0.0)
        said = np.maximum(point[..., None] + self._offsets * self._spread[..., None], 0.0)
        said = np.sort(said, axis=-1)
        self._points[(self._slot - 1) % RING] = point
        self._said[(self._slot - 1) % RING] = said
        best = self._loss.min(axis=1, keepdims=True)
        weight = (np.maximum(best, 1e-9) / np.maximum(self._loss, 1e-9)) ** SHARPNESS
        weight /= weight.sum(axis=1, keepdims=True)
        self.forecasters = said
        self.quantiles = (weight[..., None] * said).sum(axis=1)
