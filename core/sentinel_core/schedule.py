"""The schedule learner: when each class's bursts begin, learned on line from its own past, in bounded memory.

Experts (calendar folds, time since onsets, distances between onsets, a regressed period, the trend of the rate) each
say how much likelier an onset is in each coming second than on average; a logistic stack, taught by what then came,
weighs them. Nothing is assumed of a class but that its future looks like its own recent past.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Final

import numpy as np

from sentinel_core.events import LIVE, Onsets, Rule
from sentinel_core.herald import Heralds
from sentinel_core.magnitude import Magnitudes
from sentinel_core.period import Rhythms
from sentinel_core.rhythm import CALENDAR, Folds, Pairs, Renewal
from sentinel_core.signature import HAZARD_BINS
from sentinel_core.stacking import Stack, chance

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

AHEAD: Final = HAZARD_BINS + 1
"""One second more than is told, so that between two whole seconds the bins can be shifted."""

FOLDS, BACK, RATES = len(CALENDAR), Renewal.BACK, 4
EXPERTS: Final = 1 + FOLDS + BACK + 2 + 2 + 2 + 2 * RATES
PRIOR: Final = np.array([0.0, *[0.05] * FOLDS, *[0.2] * BACK, 0.1, 0.0, 1.0, 1.0, 1.0, 1.0, *[0.0] * (2 * RATES)])
PRECISION: Final = np.array(
    [4.0, *[40.0] * FOLDS, *[20.0] * BACK, 20.0, 20.0, 40.0, 20.0, 40.0, 20.0, *[8.0] * (2 * RATES)]
)
STACK_MEMORY_S: Final = 1_000_000.0
BASE_MEMORY_S: Final = 86_400.0
BASE_PSEUDO: Final = (0.1, 300.0)
"""Onsets and seconds that are taken as seen before anything was: one an hour."""
SKILL_MEMORY: Final = 3_600.0
RATE_S: Final = np.array([3.0, 10.0, 600.0])[:, None]
FADE: Final = np.exp(-np.arange(AHEAD) / 2.0)
"""What the present rate says holds longest for the next second, so each of its experts comes in two reaches."""


SPREAD_BELOW_S: Final = 0.5
"""Shorter steps leave room between whole seconds: what the end of one asks for is done in parts, one after each step,
and so is the costly search for rhythms, one series at a time. Then a second's chances are known two steps into it,
until when those of the second before hold, and what it taught counts from the next one on."""

RING: Final = AHEAD + 1
"""What was asked is kept so many seconds: one more than is answered, since the newest is asked before that."""


class ScheduleLearner:
    """`step` once a period; `hazard` and `magnitude` answer from what was seen so far. No clock: time is counted.

    `ponder` after a step whose answer could not wait for what it teaches; the next step does it where nobody did."""

    def __init__(self, series: int, step_s: float = 0.1, rule: Rule = LIVE) -> None:
        self._onsets = Onsets(series, step_s, rule)
        self._step_s = step_s
        self._now_s = 0.0
        self._second = 0
        self._magnitudes = Magnitudes(series, step_s)
        self._folds, self._renewal = Folds(series), Renewal(series)
        self._pairs = Pairs(series, AHEAD)
        self._rhythms = Rhythms(series, AHEAD, step_s)
        self._heralds = Heralds(series, AHEAD)
        self._stack = Stack(series, PRIOR, PRECISION, STACK_MEMORY_S)
        self._levels = np.zeros((len(RATE_S), series))
        self._came, self._time = np.full(series, BASE_PSEUDO[0]), np.full(series, BASE_PSEUDO[1])
        self._part = _Part(series)
        self._asked = np.zeros((RING, series, AHEAD, EXPERTS))
        self._offsets = np.zeros((RING, series))
        self._open = np.zeros((RING, series))
        self._possible = np.ones((RING, series, AHEAD))
        self._base = np.zeros(series)
        self._crossings: list[tuple[int, float]] = []
        self._parts: deque[Callable[[], None]] = deque()
        self._owes, self._surplus = False, np.zeros(series)
        self._refractory_s = rule.refractory_s
        self._last_s = np.full(series, -np.inf)
        self._hazard = np.zeros((series, AHEAD))
        self._answered = 0  # the second that the first column is of
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
        return np.minimum(np.maximum(gained, 0.0), 1.0)

    def step(self, packets: Floats, known: Bools, surplus_bytes: Floats) -> Bools:
        """One period; true where a burst began. `surplus_bytes`: what came beyond what could leave at once."""
        self.ponder()
        self._owes = True
        self._now_s += self._step_s
        self.began = self._onsets.step(packets, known)
        self._surplus = surplus_bytes
        crossed = np.flatnonzero(self._onsets.crossed)
        self._crossings.extend((int(each), self._now_s - self._step_s / 2) for each in crossed)
        self._last_s = np.where(self.began, self._now_s - self._step_s, self._last_s)
        self._part.add(packets, known, self.began, self._onsets.swelling, self._onsets.above)
        if self._now_s >= self._second + 1 - 1e-6:
            self._whole_second()
        if self.began.any():
            # What was said holds given no onset before; until the second is over nothing is known of the next one.
            self._hazard[self.began] = 0.0
        return self.began

    def ponder(self) -> None:
        """What bursts bring, and one part of what the end of a second left to do, or of the search for rhythms."""
        if not self._owes:
            return
        self._owes = False
        self._magnitudes.step(self.began, self._onsets.above, self._surplus)
        if self._parts:
            self._parts.popleft()()
        else:
            self._mark()
            self._rhythms.refit_one()

    def _mark(self) -> None:
        """Not while a second's parts are done: they are asked what was known before it."""
        for series, at_s in self._crossings:
            self._rhythms.mark(series, at_s)
        self._crossings.clear()

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
        self.ponder()
        self._finish_parts()
        self._rhythms.refit_all()
        self._stack.skip(seconds)
        self._onsets.skip(round(seconds / self._step_s))
        self._magnitudes.end()
        self._pairs.skip(seconds)
        self._heralds.skip()
        self._part.clear()
        self._open[:] = 0.0
        self._now_s += seconds
        self._second += seconds
        self.began = np.zeros(len(self._came), np.bool_)
        unknown = np.zeros(len(self._came))
        self._rule_out()
        self._ask(self._levels[0], self._came / self._time, unknown)
        self._answer()

    def _finish_parts(self) -> None:
        while self._parts:
            self._parts.popleft()()
        self._mark()

    def hazard(self) -> Floats:
        """[series, 10]: per coming second the chance of an onset, given none before it."""
        into = min(max(self._now_s - self._answered, 0.0), 1.0)
        return (1.0 - into) * self._hazard[:, :-1] + into * self._hazard[:, 1:]

    def magnitude(self) -> Floats:
        """[series, 3] quantiles of the surplus bytes of a burst."""
        return self._magnitudes.quantiles

    def _whole_second(self) -> None:
        """What came in it is kept at once; what follows from that is done in parts."""
        self._finish_parts()
        if self._step_s > SPREAD_BELOW_S:
            self._rhythms.refit_all()
        part = self._part
        known = (part.steps > 0).astype(np.float64)
        came = part.began * known
        swelled = part.swelling * known
        above = part.above * known
        base = self._came / self._time
        told = self._open[(self._second - 1) % RING] * known
        exposed = np.maximum(known * self._possible[(self._second - 1) % RING, :, 0], came)
        score = partial(
            self._score, self._hazard[:, 0].copy(), base, came, told * self._possible[(self._second - 1) % RING, :, 0]
        )
        fade = 1.0 - exposed / BASE_MEMORY_S
        self._came, self._time = self._came * fade + came, self._time * fade + exposed
        measured = part.packets / np.maximum(part.steps * self._step_s, 1e-9)
        rate = np.where(part.steps > 0, measured, self._levels[0])
        self._levels += known * np.minimum(1.0 / RATE_S, 1.0) * (rate - self._levels)
        part.clear()
        self._second += 1
        self._rule_out()
        learn = partial(self._learn, self._second - 1, came, exposed, swelled)
        herald = partial(self._heralds.learn, rate, known, came, above)
        ask = partial(self._ask, rate, base, known)
        teach = partial(self._teach, self._second - 1, came, known)
        if self._step_s > SPREAD_BELOW_S:
            self._parts.extend((score, teach, self._stack.solve, learn, herald, ask, self._answer))
            self._finish_parts()
            return
        self._parts.extend((partial(_in_turn, score, learn, herald, ask), self._answer, teach, self._stack.solve))

    def _rule_out(self) -> None:
        """Too soon after an onset there is none by rule, which needs no learning. What the parts come to see of the
        second that is running must not enter here."""
        after = self._second + 1.0 + np.arange(AHEAD)
        self._possible[(self._second - 1) % RING] = after > self._last_s[:, None] + self._refractory_s + 1e-6

    def _learn(self, second: int, came: Floats, exposed: Floats, swelled: Floats) -> None:
        self._folds.learn(second, came, exposed)
        self._renewal.learn(second, came, exposed)
        self._pairs.learn(came, exposed, swelled)

    def _teach(self, second: int, came: Floats, known: Floats) -> None:
        """A second that ended is the answer to what was asked one, two, … seconds before it."""
        bins = np.arange(AHEAD)
        asked_at = (second - 1 - bins) % RING
        told = self._open[asked_at].T * self._possible[asked_at, :, bins].T * known[:, None]
        features = self._asked[asked_at, :, bins].transpose(1, 0, 2)
        offset = self._offsets[asked_at].T
        self._stack.learn(features, offset, came[:, None], told)
        self._open[asked_at] *= 1.0 - came  # what was asked before an onset was asked about that onset

    def _score(self, said: Floats, base: Floats, came: Floats, told: Floats) -> None:
        fade = told / SKILL_MEMORY
        self._loss += fade * (_log_loss(said, came) - self._loss)
        self._naive_loss += fade * (_log_loss(base, came) - self._naive_loss)

    def _ask(self, rate: Floats, base: Floats, known: Floats) -> None:
        """`self._second` is the first of the coming seconds; `rate` is of the one before it."""
        coming = self._second + np.arange(AHEAD)
        slot = (self._second - 1) % RING
        asked = self._asked[slot]
        asked[:, :, 0] = 1.0
        at = 1
        asked[:, :, at : at + FOLDS] = self._folds.ahead(coming, base)
        asked[:, :, at + FOLDS : at + FOLDS + BACK] = self._renewal.ahead(coming, base)
        rates = self._rates(rate)[:, None, :]
        asked[:, :, -2 * RATES : -RATES] = rates
        asked[:, :, -RATES:] = rates * FADE[:, None]
        self._base, self._offsets[slot] = base, np.log(base)
        self._open[slot] = known

    def _answer(self) -> None:
        """The costliest experts, and what all together make of what was asked."""
        self._answered = self._second
        slot = (self._second - 1) % RING
        asked, offset = self._asked[slot], self._offsets[slot]
        at = 1 + FOLDS + BACK
        asked[:, :, at : at + 2] = self._pairs.ahead(self._base)
        due = self._rhythms.ahead(float(self._second), offset)
        # Two experts: that a burst is due says more than that none is, since bursts of no rhythm come as well.
        asked[:, :, at + 2], asked[:, :, at + 3] = np.maximum(due, 0.0), np.minimum(due, 0.0)
        heralded = self._heralds.ahead(self._base)
        asked[:, :, at + 4], asked[:, :, at + 5] = np.maximum(heralded, 0.0), np.minimum(heralded, 0.0)
        quiet = 1.0 - self._part.began  # nothing is said of what follows an onset until its second is over
        self._hazard = chance(self._stack.logit(asked, offset[:, None])) * self._possible[slot] * quiet[:, None]

    def _rates(self, rate: Floats) -> Floats:
        trailing = self._onsets.mean / self._step_s
        logs = np.log(np.vstack([rate, self._levels, trailing]) + 1.0)
        return np.stack([logs[0] - logs[4], logs[1] - logs[4], logs[2] - logs[4], logs[4] - logs[3]], axis=1)


class _Part:
    """What the second that is not over yet has brought so far."""

    def __init__(self, series: int) -> None:
        self.packets, self.steps = np.zeros(series), np.zeros(series)
        self.began, self.swelling, self.above = np.zeros(series), np.zeros(series), np.zeros(series)

    def add(self, packets: Floats, known: Bools, began: Bools, swelling: Bools, above: Bools) -> None:
        self.packets += np.where(known, packets, 0.0)
        self.steps += known
        self.began = np.maximum(self.began, began)
        self.swelling = np.maximum(self.swelling, swelling)
        self.above = np.maximum(self.above, above)

    def clear(self) -> None:
        for column in (self.packets, self.steps, self.began, self.swelling, self.above):
            column[:] = 0.0


def _in_turn(*parts: Callable[[], None]) -> None:
    for part in parts:
        part()


def _log_loss(said: Floats, came: Floats) -> Floats:
    bounded = np.clip(said, 1e-9, 1.0 - 1e-9)
    found: Floats = -np.log(np.where(came > 0, bounded, 1.0 - bounded))
    return found
