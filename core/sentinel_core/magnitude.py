"""How big a class's bursts have been, as quantiles of the last few dozen: what comes if one comes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from sentinel_core.signature import MAGNITUDE_LEVELS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

LEVELS: Final = np.array(MAGNITUDE_LEVELS)
REMEMBERED: Final = 32
QUIET_S: Final = 1.0
"""A burst's own gaps are shorter than this; what comes later is another matter."""
LONGEST_S: Final = 10.0


class Magnitudes:
    """A burst's surplus is summed from its onset until it has been quiet for a second, at most ten seconds."""

    def __init__(self, series: int, step_s: float) -> None:
        self._quiet_steps = max(1, round(QUIET_S / step_s))
        self._longest_steps = round(LONGEST_S / step_s)
        self._running = np.zeros(series, np.bool_)
        self._sum, self._quiet, self._steps = np.zeros(series), np.zeros(series), np.zeros(series)
        self._past: list[list[float]] = [[] for _ in range(series)]
        self.quantiles: Floats = np.zeros((series, len(MAGNITUDE_LEVELS)))

    def step(self, began: Bools, above: Bools, surplus_bytes: Floats) -> None:
        over = self._running & (began | (self._quiet >= self._quiet_steps) | (self._steps >= self._longest_steps))
        if over.any() or began.any():
            for each in np.flatnonzero(over):
                self._remember(int(each))
            self._running = (self._running & ~over) | began
            for column in (self._sum, self._quiet, self._steps):
                column[over | began] = 0.0
        if self._running.any():
            self._sum += np.where(self._running, np.maximum(surplus_bytes, 0.0), 0.0)
            self._quiet = np.where(above, 0.0, self._quiet + 1.0)
            self._steps += 1.0

    def end(self) -> None:
        """Nothing is known any more of the bursts that run: what they brought so far is what they were."""
        for each in np.flatnonzero(self._running):
            self._remember(int(each))
        self._running[:] = False

    def _remember(self, each: int) -> None:
        past = self._past[each]
        past.append(float(self._sum[each]))
        del past[:-REMEMBERED]
        # Of so few the plain quantiles would leave too much outside, so these are Weibull's.
        self.quantiles[each] = np.interp(LEVELS * (len(past) + 1) - 1, range(len(past)), sorted(past))
