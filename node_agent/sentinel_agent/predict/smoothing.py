"""Double exponential smoothing: level and trend of each class's demand, with the spread of its own recent errors.

The forecaster that needs nothing: it serves until a model is there, and whenever the model fails. It names no onset
of a burst, since a trend says how much, not when.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from sentinel_api.records import CLASSES, HORIZONS_S
from sentinel_core.forecast import Forecast, checked
from sentinel_core.signature import HAZARD_BINS, MAGNITUDE_LEVELS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sentinel_core.sample import Sample

LEVEL_S: Final = 1.0  # time constant of the level: follows a burst within a second, forgets a single packet train
TREND_S: Final = 5.0
ERROR_S: Final = 60.0
TREND_REACH_S: Final = 10.0  # no trend of seconds is believed beyond this
REACH_S: Final = np.minimum(np.asarray(HORIZONS_S, np.float64), TREND_REACH_S)
"""How far the trend is followed for each horizon."""
DEVIATIONS: Final = np.sqrt(np.minimum(REACH_S / LEVEL_S, TREND_REACH_S))[:, None] * np.array([-1.282, 0.0, 1.645])
"""[horizon, level]: of a normal error at p10, p50, p95; a random walk's spread grows with the root of time."""


class Smoothing:
    name = "smoothing"

    def __init__(self) -> None:
        self._level = np.zeros(CLASSES)
        self._trend = np.zeros(CLASSES)
        self._variance = np.zeros(CLASSES)
        self._started = False

    def predict(self, sample: Sample) -> Forecast:
        self.see(sample)
        return self.said(sample)

    def see(self, sample: Sample) -> None:
        rate = sample.per_second("bytes")
        if self._started:
            self._step(rate, sample.period_ns / 1e9)
        else:
            self._level, self._started = rate.copy(), True

    def said(self, sample: Sample) -> Forecast:
        return checked(
            made_ns=sample.t_ns,
            source=self.name,
            hazard=np.zeros((CLASSES, HAZARD_BINS)),
            magnitude_bytes=np.zeros((CLASSES, len(MAGNITUDE_LEVELS))),
            demand=self._demand(),
        )

    def _step(self, rate: NDArray[np.float64], elapsed_s: float) -> None:
        """Time constants hold whatever the real length of the period: a late tick weighs more."""
        expected = self._level + self._trend * elapsed_s
        error = rate - expected
        level = expected + _share(elapsed_s, LEVEL_S) * error
        self._trend += _share(elapsed_s, TREND_S) * ((level - self._level) / elapsed_s - self._trend)
        self._level = level
        self._variance += _share(elapsed_s, ERROR_S) * (error**2 - self._variance)

    def _demand(self) -> NDArray[np.float64]:
        """p10, p50, p95 at each horizon."""
        middle = np.maximum(self._level[:, None] + self._trend[:, None] * REACH_S, 0.0)
        found: NDArray[np.float64] = middle[:, :, None] + np.sqrt(self._variance)[:, None, None] * DEVIATIONS
        return found


def _share(elapsed_s: float, constant_s: float) -> float:
    """The weight of one new value in an exponential mean of that time constant."""
    return float(-np.expm1(-elapsed_s / constant_s))
