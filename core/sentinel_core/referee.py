"""Who is believed, a model or the learners that it corrects: by what each lost lately, class by class.

A model has learned from traffic that is not this class's. Where it is worse here it is not heard, so that with it
nothing becomes worse than without it, but for what it takes to find out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from sentinel_api.records import HORIZONS_S
from sentinel_core.demand import AHEAD, LEVELS, RING
from sentinel_core.magnitude import LONGEST_S
from sentinel_core.signature import HAZARD_BINS, MAGNITUDE_LEVELS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

OWN, MODEL = range(2)
LEAST_SLOTS, MEMORY_SLOTS = 30.0, 120.0
"""Of demand: five minutes of answers before a model is heard, and twenty that decide."""
LEAST_SECONDS, MEMORY_SECONDS = 120.0, 600.0
"""Of chances: learners begin badly and become good, so what they were half an hour ago says little."""
LEAST_BURSTS, MEMORY_BURSTS = 3.0, 32.0
CLEARLY: Final = 0.9
"""Of the learners' loss: who is level with them has nothing to add, and does not know this class."""
SMALLEST: Final = 1e-4
"""No chance is told from a smaller one within an hour."""
SIZES: Final = np.array(MAGNITUDE_LEVELS)


class Answers(Protocol):
    """A forecast of either of them."""

    @property
    def hazard(self) -> Floats: ...
    @property
    def magnitude_bytes(self) -> Floats: ...
    @property
    def demand(self) -> Floats: ...


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    hazard: Floats
    magnitude_bytes: Floats
    demand: Floats


class _Trial:
    """Mean losses of both, each answer weighing as much as the ones before it until the memory is full."""

    def __init__(self, shape: tuple[int, ...], least: float, memory: float) -> None:
        self._loss, self.settled = np.zeros((2, *shape)), np.zeros(shape)
        self._least, self._memory = least, memory

    @property
    def hears_model(self) -> Bools:
        found: Bools = (self.settled >= self._least) & (self._loss[MODEL] < CLEARLY * self._loss[OWN])
        return found

    def settle(self, loss: Floats, answered: Bools) -> None:
        self.settled += answered
        share = np.maximum(1.0 / np.maximum(self.settled, 1.0), 1.0 / self._memory)
        self._loss += answered * share * (np.where(answered, loss, 0.0) - self._loss)


class DemandReferee:
    """`answer` every step, `settle` whenever a slot has ended, before the step's answer.

    The model must have lost less in sum, and less in the usual slot too: amounts have no bound, and one burst that both
    missed by far, but not alike, would else speak for it for hours."""

    def __init__(self, series: int) -> None:
        shape = (series, len(HORIZONS_S))
        self._said = np.full((RING, 2, *shape, len(LEVELS)), np.nan)
        self.trial, self._usual = (_Trial(shape, LEAST_SLOTS, MEMORY_SLOTS) for _ in range(2))
        self._slot, self._fresh = 0, True

    @property
    def hears_model(self) -> Bools:
        return self.trial.hears_model & self._usual.hears_model

    def settle(self, rate: Floats, known: Bools) -> None:
        """A slot has ended: what was said of it before is judged."""
        which = np.arange(len(AHEAD))
        said = self._said[(self._slot - AHEAD) % RING, :, :, which].transpose(1, 2, 0, 3)
        answered = known[:, None] & ~np.isnan(said).any(axis=(0, 3))
        loss = _pinball(rate[:, None, None] - said, LEVELS)
        self.trial.settle(loss, answered)
        self._usual.settle(loss / np.maximum(loss.sum(axis=0), 1e-9), answered)
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


class OnsetReferee:
    """Of chances: each second that ends answers what was said one, two, … seconds before it."""

    def __init__(self, series: int, step_s: float) -> None:
        self._per_second = max(1, round(1.0 / step_s))
        self._said = np.full((HAZARD_BINS, 2, series, HAZARD_BINS), np.nan)
        self.trial = _Trial((series,), LEAST_SECONDS, MEMORY_SECONDS)
        self._steps, self._second, self._fresh = 0, 0, True
        self._came, self._known = np.zeros(series, np.bool_), np.ones(series, np.bool_)
        self._ended: tuple[Floats, Bools, Bools] | None = None

    def step(self, began: Bools, known: Bools) -> None:
        self._came |= began
        self._known &= known
        self._steps += 1
        if self._steps % self._per_second == 0:
            self.settle()
            self._end_second()

    def settle(self) -> None:
        """What was said of the second that ended last is judged, once."""
        if self._ended is None:
            return
        (said, came, known), self._ended = self._ended, None
        # What the rule of an onset forbids is no opinion.
        asked = ~np.isnan(said).any(axis=0) & (said[OWN] > 0.0) & known[:, None]
        right = np.where(came[:, None], said, 1.0 - said)
        loss = -np.log(np.maximum(np.where(asked, right, 1.0), SMALLEST))
        self.trial.settle(loss.sum(axis=-1) / np.maximum(asked.sum(axis=-1), 1), asked.any(axis=-1))

    def _end_second(self) -> None:
        bins = np.arange(HAZARD_BINS)
        said = self._said[(self._second - bins) % HAZARD_BINS, :, :, bins].transpose(1, 2, 0)
        self._ended = said, self._came.copy(), self._known.copy()
        self._said[:, :, self._came] = np.nan  # it was said of the onset that has come now
        self._second += 1
        self._said[self._second % HAZARD_BINS] = np.nan
        self._came[:], self._known[:], self._fresh = False, True, True

    def answer(self, own: Floats, model: Floats) -> Floats:
        if self._fresh:
            self._said[self._second % HAZARD_BINS] = np.stack([own, model])
            self._fresh = False
        return np.where(self.trial.hears_model[:, None], model, own)

    def forget_said(self) -> None:
        self._said[:] = np.nan


class SizeReferee:
    """Of sizes: what was said just before a burst, by the log of what it brought in ten seconds."""

    def __init__(self, series: int, step_s: float) -> None:
        self._steps = round(LONGEST_S / step_s)
        self._last = np.zeros((2, series, len(SIZES)))
        self._said = np.zeros((2, series, len(SIZES)))
        self._left, self._sum = np.zeros(series), np.zeros(series)
        self.trial = _Trial((series,), LEAST_BURSTS, MEMORY_BURSTS)

    def step(self, began: Bools, surplus_bytes: Floats) -> None:
        over = (self._left > 0) & (began | (self._left == 1))
        self._sum += np.maximum(surplus_bytes, 0.0) * (self._left > 0) * ~began
        if over.any():
            logs = np.log1p(self._sum)[:, None] - np.log1p(self._said)
            self.trial.settle(_pinball(logs, SIZES), over & (self._said[OWN, :, -1] > 0))
        self._left = np.maximum(self._left - 1, 0)
        if began.any():
            self._said[:, began] = self._last[:, began]
            self._left[began], self._sum[began] = self._steps - 1, np.maximum(surplus_bytes, 0.0)[began]

    def answer(self, own: Floats, model: Floats) -> Floats:
        """Where the learners know no size yet, the model's is better than none."""
        self._last[OWN], self._last[MODEL] = own, model
        heard = self.trial.hears_model | (own[:, -1] <= 0.0)
        return np.where(heard[:, None], model, own)

    def forget_said(self) -> None:
        self._left[:] = 0.0


def _pinball(beyond: Floats, levels: Floats) -> Floats:
    found: Floats = np.maximum(levels * beyond, (levels - 1.0) * beyond).sum(axis=-1)
    return found


class Referees:
    """All three, as the learners are stepped."""

    def __init__(self, series: int, step_s: float) -> None:
        self.onsets, self.sizes = OnsetReferee(series, step_s), SizeReferee(series, step_s)
        self.demand = DemandReferee(series)

    def step(self, began: Bools, known: Bools, surplus_bytes: Floats) -> None:
        self.onsets.step(began, known)
        self.sizes.step(began, surplus_bytes)

    def ponder(self, slot: tuple[Floats, Bools] | None) -> None:
        """Between a step's answer and the next step. `slot`: the rate of the slot of demand that the step ended, and
        where it was measured."""
        self.onsets.settle()
        if slot is not None:
            self.demand.settle(*slot)

    def answer(self, own: Answers, model: Answers) -> Told:
        """Once a step, after it."""
        return Told(
            self.onsets.answer(own.hazard, model.hazard),
            self.sizes.answer(own.magnitude_bytes, model.magnitude_bytes),
            self.demand.answer(own.demand, model.demand),
        )

    def forget_said(self) -> None:
        for each in (self.onsets, self.sizes, self.demand):
            each.forget_said()
