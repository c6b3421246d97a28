"""What every forecaster is to the loop: one step a tick, its state kept behind the port."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sentinel_core.forecast import Forecast
from sentinel_core.sample import Sample


class PredictionFailed(Exception):
    """Late, NaN, or no model at all: the loop asks the fallback instead."""


class Forecaster(Protocol):
    name: str

    def predict(self, sample: Sample) -> Forecast:
        """One streaming step. Raises PredictionFailed."""


class Spare(Forecaster, Protocol):
    """One that stands by: it sees every sample, and is asked only when another failed."""

    def see(self, sample: Sample) -> None:
        """The step without the answer."""

    def said(self, sample: Sample) -> Forecast:
        """The answer after that step; costs what nobody pays who is not asked."""


class Foreseeing(Forecaster, Protocol):
    """A forecaster that names onsets also says which came, so that it can be held to its word."""

    @property
    def began(self) -> NDArray[np.bool_]:
        """In which classes a burst began between the last two samples."""

    def ponder(self) -> None:
        """What the last sample taught and the answer to it did not need; called once the orders are out."""
