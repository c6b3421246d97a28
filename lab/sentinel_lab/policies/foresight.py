"""Predictors that are told the future, and what is made of it: the oracle, and forecasts that are wrong on purpose.

They take the place of the product's own predictor and of nothing else; what is decided from a forecast, and how far it
is believed, stays the product's. Until the run begins all of them foretell rightly, so that the wrong ones turn wrong
when they are trusted most: a predictor that was never right would only be ignored.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final, assert_never

import numpy as np
from pydantic import BaseModel, ConfigDict

from sentinel_agent.predict.smoothing import Smoothing
from sentinel_api.records import CLASSES
from sentinel_core.allocate import LEAD_SECONDS
from sentinel_core.forecast import Forecast, checked
from sentinel_core.signature import HAZARD_BINS, MAGNITUDE_LEVELS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sentinel_core.sample import Sample

LATE_S: Final = LEAD_SECONDS + 1.0
"""Acted on a second after it began: the room comes when the damage is done."""
EARLY_S: Final = 5.0
"""Told five seconds too soon: the room is given back before the burst is there."""


class Burst(BaseModel):
    """Seconds count from the start of the run; below zero lies what the predictor was seasoned with."""

    model_config = ConfigDict(frozen=True)

    start_s: float
    end_s: float
    surplus_bytes: int
    """What comes beyond the rate at which the queue empties."""


class Truth(BaseModel):
    """Made by those who make the traffic, and handed to the predictors of this module only."""

    model_config = ConfigDict(frozen=True)

    start_ns: int
    """On the clock that the samples carry."""
    bursts: dict[int, tuple[Burst, ...]]


class Slant(Enum):
    RIGHT = "oracle"
    INVERTED = "predictive-inverted"
    LATE = "predictive-late"
    EARLY = "predictive-early"
    SILENT = "predictive-silent"


class Foretold:
    """Satisfies the agent's `Foreseeing`."""

    def __init__(self, truth: Truth, slant: Slant) -> None:
        self.name = slant.value
        self.began: NDArray[np.bool_] = np.zeros(CLASSES, np.bool_)
        self._slant = slant
        self._truth = truth
        self._starts = {each: np.array([b.start_s for b in bursts]) for each, bursts in truth.bursts.items()}
        self._surplus = {each: np.array([b.surplus_bytes for b in bursts]) for each, bursts in truth.bursts.items()}
        self._demand = Smoothing()
        self._last_s = -np.inf

    def predict(self, sample: Sample) -> Forecast:
        now_s = (sample.t_ns - self._truth.start_ns) / 1e9
        self.began = np.zeros(CLASSES, np.bool_)
        hazard, magnitude = np.zeros((CLASSES, HAZARD_BINS)), np.zeros((CLASSES, len(MAGNITUDE_LEVELS)))
        for each, starts in self._starts.items():
            self.began[each] = bool(((starts > self._last_s) & (starts <= now_s)).any())
            hazard[each], magnitude[each] = self._told(each, now_s)
        self._last_s = now_s
        return checked(sample.t_ns, self.name, hazard, magnitude, self._demand.predict(sample).demand)

    def ponder(self) -> None:
        """Who is told learns nothing."""

    def _told(self, each: int, now_s: float) -> tuple[NDArray[np.float64], float]:
        slant = self._slant if now_s >= 0 else Slant.RIGHT
        match slant:
            case Slant.RIGHT:
                return self._ahead(each, now_s, 0.0)
            case Slant.LATE:
                return self._ahead(each, now_s, LATE_S)
            case Slant.EARLY:
                return self._ahead(each, now_s, -EARLY_S)
            case Slant.SILENT:
                return np.zeros(HAZARD_BINS), 0.0
            case Slant.INVERTED:
                return self._inverted(each, now_s)
            case _ as unreachable:
                assert_never(unreachable)

    def _ahead(self, each: int, now_s: float, shift_s: float) -> tuple[NDArray[np.float64], float]:
        """Certainty in the second of each onset; the magnitude is that of the next one."""
        hazard = np.zeros(HAZARD_BINS)
        ahead = self._starts[each] + shift_s - now_s
        coming = (ahead > 0) & (ahead < HAZARD_BINS)
        hazard[ahead[coming].astype(np.int64)] = 1.0
        return hazard, float(self._surplus[each][coming][0]) if coming.any() else 0.0

    def _inverted(self, each: int, now_s: float) -> tuple[NDArray[np.float64], float]:
        """Silent while a burst is coming, sure of a typical one while none is."""
        hazard = np.zeros(HAZARD_BINS)
        if self._ahead(each, now_s, 0.0)[1] or not self._surplus[each].size:
            return hazard, 0.0
        hazard[0] = 1.0
        return hazard, float(np.median(self._surplus[each]))
