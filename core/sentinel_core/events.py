"""What counts as the onset of a burst: the one rule that labels traces, teaches the learner and scores it live."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from sentinel_api.errors import Invalid
from sentinel_core.signature import HAZARD_BINS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Rule:
    """An onset: a step's count above `factor` times the mean before it, and beyond chance."""

    factor: float = 3.0
    trailing_s: float = 60.0
    sigmas: float = 5.0
    min_events: float = 5.0
    refractory_s: float = 10.0
    rearms: bool = False
    """The count must also have fallen below the threshold since the last onset, so that a long burst is one."""


TRACE: Final = Rule()
LIVE: Final = Rule(refractory_s=2.0, rearms=True)
"""On a node: periods down to some seconds are schedules too, and a burst of any length begins once."""

WINDOWS: Final = {"1_10": (1, HAZARD_BINS), "5_10": (5, HAZARD_BINS)}
"""Lead times in whole seconds, first to beyond last, counted from the instant the last step was known."""

SWELL_FACTOR: Final = 1.5
SWELL_SIGMAS: Final = 3.0

SETTLED_SHARE: Final = 0.5
"""Of the trailing time that must have been measured before anything is judged."""


class Onsets:
    """Streaming, for several series at once. A step that was not measured is a gap, not silence: it has no onset, and
    the mean before an onset leaves it out."""

    def __init__(self, series: int, step_s: float, rule: Rule = TRACE) -> None:
        steps = round(rule.trailing_s / step_s)
        if steps < 1:
            raise Invalid(f"a step of {step_s:g} s is longer than the {rule.trailing_s:g} s it is compared with")
        self._rule = rule
        self._counts = np.zeros((steps, series))
        self._known = np.zeros((steps, series))
        self._sum, self._measured = np.zeros(series), np.zeros(series)
        self._at = 0
        self._refractory_steps = round(rule.refractory_s / step_s)
        self._since = np.full(series, self._refractory_steps)
        self._was_above = np.zeros(series, np.bool_)
        self.mean: Floats = np.zeros(series)
        """Per step, over the trailing time before the last step."""
        self.above: Bools = np.zeros(series, np.bool_)
        """The last step's count was beyond the threshold, whether it began a burst or not."""
        self.swelling: Bools = np.zeros(series, np.bool_)
        """Its count was beyond chance at least: too little for a burst, enough to keep time by."""
        self.crossed: Bools = np.zeros(series, np.bool_)
        """It was the first beyond the threshold, even if too soon after an onset to be one."""

    def step(self, count: Floats, known: Bools) -> Bools:
        """One step of every series; true where a burst began in it."""
        rule = self._rule
        measured = self._measured
        # Counts of a late tick are no whole numbers, and what rounding leaves of their sum may be below zero.
        self.mean = np.maximum(self._sum, 0.0) / np.maximum(measured, 1.0)
        threshold = np.maximum(rule.factor * self.mean, self.mean + rule.sigmas * np.sqrt(self.mean))
        settled = measured >= SETTLED_SHARE * len(self._known)
        self.above = known & settled & (count > threshold) & (count >= rule.min_events)
        self.crossed = self.above & ~self._was_above
        chance = np.maximum(SWELL_FACTOR * self.mean, self.mean + SWELL_SIGMAS * np.sqrt(self.mean))
        self.swelling = known & settled & (count > chance) & (count >= rule.min_events)
        self._since = self._since + 1
        begun = self.above & (self._since >= self._refractory_steps)
        if rule.rearms:
            begun &= ~self._was_above
        self._since[begun] = 0
        self._was_above = np.where(known, self.above, self._was_above)
        self._keep(np.where(known, count, 0.0), known)
        return begun

    def skip(self, steps: int) -> None:
        """As so many steps of which nothing is known."""
        self._since = self._since + steps
        for _ in range(min(steps, len(self._counts))):
            self._counts[self._at], self._known[self._at] = 0.0, 0.0
            self._at = (self._at + 1) % len(self._counts)
        self._sum, self._measured = self._counts.sum(axis=0), self._known.sum(axis=0)

    def _keep(self, count: Floats, known: Bools) -> None:
        self._sum = self._sum - self._counts[self._at] + count
        self._measured = self._measured - self._known[self._at] + known
        self._counts[self._at], self._known[self._at] = count, known
        self._at = (self._at + 1) % len(self._counts)
        if self._at == 0:  # what rounding left does not grow
            self._sum = self._counts.sum(axis=0)


def labels(begun: Bools, step_s: float, window: tuple[int, int]) -> Bools:
    """Per step: whether a burst begins in that window after it. Only for judging: it looks into the future."""
    first, beyond = (round(seconds / step_s) for seconds in window)
    before = np.concatenate([[0], np.cumsum(begun)])
    last = len(begun)
    after = np.arange(last) + 1  # a step is known when it ends, and the next begins
    found: Bools = before[np.minimum(after + beyond, last)] > before[np.minimum(after + first, last)]
    return found
