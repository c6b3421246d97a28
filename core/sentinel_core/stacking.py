"""How much each expert is believed: logistic regression learned one step at a time, which forgets what no longer holds.

Every class has its own weights. They start at what is sensible without data and are pulled back there as evidence ages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

LOGIT_BOUND = 8.0
SOLVE_EVERY = 4
"""Steps between two solutions: solving costs most of a step, and evidence of seconds can wait seconds."""


def chance(logit: Floats) -> Floats:
    bounded: Floats = 1.0 / (1.0 + np.exp(-np.minimum(np.maximum(logit, -12.0), LOGIT_BOUND)))
    return bounded


class Stack:
    """Online Newton steps on the log loss: the curvature is kept, so a few dozen onsets suffice."""

    def __init__(self, series: int, prior: Floats, precision: Floats, memory: float) -> None:
        self.prior = prior
        self.weights: Floats = np.tile(prior, (series, 1))
        self._pull = np.diag(precision)
        self._curvature = np.tile(self._pull, (series, 1, 1))
        self._gradient = np.zeros((series, len(prior)))
        self._keep = 1.0 - 1.0 / memory
        self._steps = 0

    def logit(self, features: Floats, offset: Floats) -> Floats:
        """[series, bins] from features [series, bins, experts]."""
        found: Floats = np.matmul(features, self.weights[:, :, None])[:, :, 0] + offset
        return found

    def learn(self, features: Floats, offset: Floats, came: Floats, told: Floats) -> None:
        """`told` weighs each [series, bins] answer, 0 where nothing is known of it."""
        p = chance(self.logit(features, offset))
        error = told * (came - p)
        weighted = features * (told * p * (1.0 - p))[:, :, None]
        self._gradient += np.matmul(error[:, None, :], features)[:, 0, :]
        self._curvature += np.matmul(weighted.transpose(0, 2, 1), features)
        self._steps += 1

    def solve(self) -> None:
        """After each `learn`, though not in the same breath: together they would be long."""
        if self._steps % SOLVE_EVERY == 0:
            self._solve()

    def skip(self, steps: int) -> None:
        """As so many steps of which nothing was told."""
        self._steps += steps
        self._solve()

    def _solve(self) -> None:
        fade = 1.0 - self._keep**SOLVE_EVERY
        self._curvature += fade * (self._pull - self._curvature)
        pulled = self._gradient + fade * (self.prior - self.weights) * np.diag(self._pull)
        self.weights += np.linalg.solve(self._curvature, pulled[:, :, None])[:, :, 0]
        self._gradient[:] = 0.0
