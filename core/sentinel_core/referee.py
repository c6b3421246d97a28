"""Whose demand is believed: a model's, or that of the learners it corrects; by what each lost lately, class by class.

A model has learned from traffic that is not this class's. Where it is worse here it is not heard, so that with it
nothing becomes worse than without it, but for what it takes to find out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from sentinel_api.records import HORIZONS_S
from sentinel_core.demand import AHEAD, LEVELS, RING

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

LEAST_SLOTS: Final = 30.0
"""Five minutes of answers before a model is heard."""
MEMORY_SLOTS: Final = 360.0
"""An hour of losses decides."""
OWN, MODEL = range(2)


class Referee:
    """`answer` every step, `settle` whenever a slot has ended, before the step's answer."""

    def __init__(self, series: int) -> None:
        shape = (series, len(HORIZONS_S))
        self._said = np.full((RING, 2, *shape, len(LEVELS)), np.nan)
        self._loss, self._settled = np.zeros((2, *shape)), np.zeros(shape)
        self._slot, self._fresh = 0, True

    @property
    def hears_model(self) -> Bools:
        """[series, horizon]."""
        found: Bools = (self._settled >= LEAST_SLOTS) & (self._loss[MODEL] < self._loss[OWN])
        return found

    def settle(self, rate: Floats, known: Bools) -> None:
        """A slot has ended: what was said of it before is judged."""
        which = np.arange(len(AHEAD))
        said = self._said[(self._slot - AHEAD) % RING, :, :, which].transpose(1, 2, 0, 3)
        answered = known[:, None] & ~np.isnan(said).any(axis=(0, 3))
        beyond = np.where(answered[..., None], rate[:, None, None] - said, 0.0)
        loss = np.maximum(LEVELS * beyond, (LEVELS - 1.0) * beyond).sum(axis=-1)
        self._settled += answered
        share = np.maximum(1.0 / np.maximum(self._settled, 1.0), 1.0 / MEMORY_SLOTS)
        self._loss += answered * share * (loss - self._loss)
        self._slot += 1
        self._said[(self._slot - 1) % RING] = np.nan
        self._fresh = True

    def answer(self, own: Floats, model: Floats) -> Floats:
        """[series, horizon, level] of whoever is believed; what is said first after a slot is what is judged later."""
        if self._fresh:
            self._said[(self._slot - 1) % RING] = np.stack([own, model])
            self._fresh = False
        return np.where(self.hears_model[..., None], model, own)

    def forget_said(self) -> None:
        """After a gap nobody is held to what was said before it."""
        self._said[:] = np.nan
