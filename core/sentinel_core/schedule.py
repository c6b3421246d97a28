"""The schedule learner: when each class's bursts begin, learned on line from its own past, in bounded memory.

Experts (calendar folds, time since onsets, distances between onsets, a regressed period, the trend of the rate) each
say how much likelier an onset is in each coming second than on average; a logistic stack, taught by what then came,
weighs them. Nothing is assumed of a class but that its future looks like its own recent past.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from sentinel_core.events import LIVE, Onsets, Rule
from sentinel_core.magnitude import Magnitudes
from sentinel_core.period import Rhythms
from sentinel_core.rhythm import CALENDAR, Folds, Pairs, Renewal
from sentinel_core.signature import HAZARD_BINS
from sentinel_core.stacking import Stack, chance

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

AHEAD: Final = HAZARD_BINS + 1
"""One second more than is told, so that between two whole seconds the bins can be shifted."""

FOLDS, BACK, RATES = len(CALENDAR), Renewal.BACK, 4
EXPERTS: Final = 1 + FOLDS + BACK + 2 + 2 + 2 * RATES
PRIOR: Final = np.array([0.0, *[0.05] * FOLDS, *[0.2] * BACK, 0.1, 0.0, 1.0, 1.0, *[0.0] * (2 * RATES)])
PRECISION: Final = np.array([4.0, *[40.0] * FOLDS, *[20.0] * BACK, 20.0, 20.0, 40.0, 20.0, *[8.0] * (2 * RATES)])
STACK_MEMORY_S: Final = 1_000_000.0
BASE_MEMORY_S: Final = 86_400.0
BASE_PSEUDO: Final = (0.1, 300.0)
"""Onsets and seconds that are taken as seen before anything was: one an hour."""
SKILL_MEMORY: Final = 3_600.0
RATE_S: Final = np.array([3.0, 10.0, 600.0])[:, None]
FADE: Final = np.exp(-np.arange(AHEAD) / 2.0)
"""What the present rate says holds longest for the next second, so each of its experts comes in two reaches."""


SPREAD_BELOW_S: Final = 0.5
"""Shorter steps leave room between whole seconds for the costly search for rhythms, one series a step."""


class ScheduleLearner:
    """`step` once a period; `hazard` and `magnitude` answer from what was seen so far. No clock: time is counted."""

    def __init__(self, series: int, step_s: float = 0.1, rule: Rule = LIVE) -> None:
        self._onsets = Onsets(series, step_s, rule)
        self._step_s = step_s
        self._now_s = 0.0
        self._second = 0
        self._magnitudes = Magnitudes(series, step_s)
        self._folds, self._renewal = Folds(series), Renewal(series)
        self._pairs = (Pairs(series, AHEAD), Pairs(series, AHEAD))
        self._rhythms = Rhythms(series, AHEAD, step_s)
        self._stack = Stack(series, PRIOR, PRECISION, STACK_MEMORY_S)
        self._levels = np.zeros((len(RATE_S), series))
        self._came, self._time = np.full(series, BASE_PSEUDO[0]), np.full(series, BASE_PSEUDO[1])
        self._part = _Part(series)
        self._asked = np.zeros((AHEAD, series, AHEAD, EXPERTS))
        self._offsets = np.zeros((AHEAD, series))
        self._open = np.zeros((AHEAD, series))
        self._possible = np.ones((AHEAD, series, AHEAD))
        self._refractory_s = rule.refractory_s
        self._last_s = np.full(series, -np.inf)
        self._hazard = np.zeros((series, AHEAD))
        self._loss, self._naive_loss = np.full(series, 1e-3), np.full(series, 1e-3)
        self.began: Bools = np.zeros(series, np.bool_)

    @property
    def period_s(self) -> Floats:
        """The regressed rhythm of each class, 0 where there is none."""
        return self._rhythms.period_s

    @property
    def age_s(self) -> Floats:
        """Since the last onset of each class; without end where there was none."""
        found: Floats = self._now_s - self._last_s
        return found

    @property
    def certainty(self) -> Floats:
        """From 0 to 1: by how much the lately told chances were better than always telling the average."""
        gained: Floats = 1.0 - self._loss / self._naive_loss
        return np.clip(gained, 0.0, 1.0)

    def step(self, packets: Floats, known: Bools, surplus_bytes: Floats) -> Bools:
        """One period; true where a burst began. `surplus_bytes`: what came beyond what could leave at once."""
        self._now_s += self._step_s
        self.began = self._onsets.step(packets, known)
        self._magnitudes.step(self.began, self._onsets.above, surplus_bytes)
        for each in np.flatnonzero(self._onsets.crossed):
            self._rhythms.mark(int(each), self._now_s - self._step_s / 2)
        self._last_s = np.where(self.began, self._now_s - self._step_s, self._last_s)
        self._part.add(packets, known, self.began, self._onsets.swelling)
        if self._now_s >= self._second + 1 - 1e-6:
            self._whole_second()
        else:
            self._rhythms.refit_one()
        if self.began.any():
            # What was said holds given no onset before; until the second is over nothing is known of the next one.
            self._hazard[self.began] = 0.0
        return self.began

    def skip(self, steps: int) -> None:
        """As so many steps of which nothing was known, at the cost of some ten: a gap of minutes fits into a tick."""
        nothing = np.zeros(len(self._came))
        unknown = np.zeros(len(nothing), np.bool_)
        whole = max(1, round(1.0 / self._step_s))
        before = min(steps, round((self._second - self._now_s) / self._step_s) % whole)
        seconds, after = divmod(steps - before, whole)
        for _ in range(before):
            self.step(nothing, unknown, nothing)
        if seconds:
            self._skip_seconds(seconds)
        for _ in range(after):
            self.step(nothing, unknown, nothing)

    def _skip_seconds(self, seconds: int) -> None:
        """Only whole ones, from the start of one. Of what was asked before it, nothing will be answered any more."""
        self._rhythms.refit_all()
        self._stack.skip(seconds)
        self._onsets.skip(round(seconds / self._step_s))
        self._magnitudes.end()
        self._pairs[0].skip(seconds)
        self._pairs[1].skip(seconds)
        self._part.clear()
        self._open[:] = 0.0
        self._now_s += seconds
        self._second += seconds
        self.began = np.zeros(len(self._came), np.bool_)
        unknown = np.zeros(len(self._came))
        self._ask(self._levels[0], self._came / self._time, unknown)

    def hazard(self) -> Floats:
        """[series, 10]: per coming second the chance of an onset, given none before it."""
        into = min(max(self._now_s - self._second, 0.0), 1.0)
        return (1.0 - into) * self._hazard[:, :-1] + into * self._hazard[:, 1:]

    def magnitude(self) -> Floats:
        """[series, 3] quantiles of the surplus bytes of a burst."""
        return self._magnitudes.quantiles

    def _whole_second(self) -> None:
        if self._step_s > SPREAD_BELOW_S:
            self._rhythms.refit_all()
        part = self._part
        known = (part.steps > 0).astype(np.float64)
        came = part.began * known
        self._teach(came, known)
        base = self._came / self._time
        exposed = np.maximum(known * self._possible[(self._second - 1) % AHEAD, :, 0], came)
        self._folds.learn(self._second, came, exposed)
        self._renewal.learn(self._second, came, exposed)
        self._pairs[0].learn(came, exposed, came)
        self._pairs[1].learn(came, exposed, part.swelling * known)
        fade = 1.0 - exposed / BASE_MEMORY_S
        self._came, self._time = self._came * fade + came, self._time * fade + exposed
        measured = part.packets / np.maximum(part.steps * self._step_s, 1e-9)
        rate = np.where(part.steps > 0, measured, self._levels[0])
        self._levels += known * np.minimum(1.0 / RATE_S, 1.0) * (rate - self._levels)
        part.clear()
        self._second += 1
        self._ask(rate, base, known)

    def _teach(self, came: Floats, known: Floats) -> None:
        """The second that just ended is the answer to what was asked one, two, … seconds before it."""
        bins = np.arange(AHEAD)
        asked_at = (self._second - 1 - bins) % AHEAD
        told = self._open[asked_at].T * self._possible[asked_at, :, bins].T * known[:, None]
        features = self._asked[asked_at, :, bins].transpose(1, 0, 2)
        offset = self._offsets[asked_at].T
        self._stack.learn(features, offset, came[:, None], told)
        self._score(came, known * told[:, 0])
        self._open *= 1.0 - came  # what was asked before an onset was asked about that onset

    def _score(self, came: Floats, told: Floats) -> None:
        said, base = self._hazard[:, 0], self._came / self._time
        fade = told / SKILL_MEMORY
        self._loss += fade * (_log_loss(said, came) - self._loss)
        self._naive_loss += fade * (_log_loss(base, came) - self._naive_loss)

    def _ask(self, rate: Floats, base: Floats, known: Floats) -> None:
        """`self._second` is the first of the coming seconds; `rate` is of the one before it."""
        coming = self._second + np.arange(AHEAD)
        slot = (self._second - 1) % AHEAD
        asked = self._asked[slot]
        asked[:, :, 0] = 1.0
        at = 1
        asked[:, :, at : at + FOLDS] = self._folds.ahead(coming, base).transpose(0, 2, 1)
        at += FOLDS
        asked[:, :, at : at + BACK] = self._renewal.ahead(coming, base).transpose(1, 2, 0)
        at += BACK
        asked[:, :, at] = self._pairs[0].ahead(base)
        asked[:, :, at + 1] = self._pairs[1].ahead(base)
        due = self._rhythms.ahead(float(self._second), base)
        # Two experts: that a burst is due says more than that none is, since bursts of no rhythm come as well.
        asked[:, :, at + 2], asked[:, :, at + 3] = np.maximum(due, 0.0), np.minimum(due, 0.0)
        at += 4
        rates = self._rates(rate)[:, None, :]
        asked[:, :, at : at + RATES] = rates
        asked[:, :, at + RATES :] = rates * FADE[:, None]
        self._offsets[slot] = np.log(base)
        self._open[slot] = known
        # Too soon after an onset there is none by rule, which needs no learning.
        self._possible[slot] = coming + 1.0 > self._last_s[:, None] + self._refractory_s + 1e-6
        self._hazard = chance(self._stack.logit(asked, self._offsets[slot][:, None])) * self._possible[slot]

    def _rates(self, rate: Floats) -> Floats:
        trailing = self._onsets.mean / self._step_s
        logs = np.log(np.vstack([rate, self._levels, trailing]) + 1.0)
        return np.stack([logs[0] - logs[4], logs[1] - logs[4], logs[2] - logs[4], logs[4] - logs[3]], axis=1)


class _Part:
    """What the second that is not over yet has brought so far."""

    def __init__(self, series: int) -> None:
        self.packets, self.steps = np.zeros(series), np.zeros(series)
        self.began, self.swelling = np.zeros(series), np.zeros(series)

    def add(self, packets: Floats, known: Bools, began: Bools, swelling: Bools) -> None:
        self.packets += np.where(known, packets, 0.0)
        self.steps += known
        self.began = np.maximum(self.began, began)
        self.swelling = np.maximum(self.swelling, swelling)

    def clear(self) -> None:
        for column in (self.packets, self.steps, self.began, self.swelling):
            column[:] = 0.0


def _log_loss(said: Floats, came: Floats) -> Floats:
    bounded = np.clip(said, 1e-9, 1.0 - 1e-9)
    found: Floats = -np.log(np.where(came > 0, bounded, 1.0 - bounded))
    return found
