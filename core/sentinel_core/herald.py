"""What heralds a class's bursts: how its rate went in the seconds before the last ones, and whether it goes so again.

Ramps of one job are alike. Their mean is a template; laid over the last seconds at every distance from a burst to
come, it says how much likelier what was counted is with that burst than without one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

REACH: Final = 24
"""Seconds before a burst that are remembered: what rises for longer is a trend."""
ONSETS: Final = 30.0
"""Remembered, fading."""
LEAST: Final = 3.0
CLEARLY: Final = 6.0
"""A second of the template counts by how far its squared distance from the usual, in standard errors, exceeds this."""
LEVEL_S: Final = 30.0
STEADY: Final = 1.0
"""Of its own deviation: a single second moves the usual level by no more, so that ramps and bursts do not."""
CALM_TIMES: Final = 3.0
"""The usual level: what is beyond that is a burst and heralds nothing."""
MEAN_ABSOLUTE: Final = 0.75
"""Of a normal distribution's standard deviation."""
MOST_TIMES: Final = 5.0
MOST_NATS: Final = 20.0
"""Of the likeliest second: beyond that nothing counts but how the seconds compare."""
LOW, HIGH = -3.0, 9.0


class Heralds:
    """`learn` once a second; `ahead` answers from what was seen so far. A class without a template says nothing."""

    def __init__(self, series: int, ahead: int) -> None:
        self._ahead = ahead
        self._rate, self._clear = np.zeros((series, REACH)), np.zeros((series, REACH))  # newest first
        self._level, self._deviation = np.zeros(series), np.zeros(series)
        self._started = np.zeros(series)
        self._count, self._sum, self._squares = (np.zeros((series, REACH)) for _ in range(3))
        self._logs, self._extra = np.zeros((series, 2 * REACH)), np.zeros((series, 2 * REACH))
        self._speaks: Bools = np.zeros(series, np.bool_)
        window = np.lib.stride_tricks.sliding_window_view
        # Row k: what the template says of the newest second, and those before it, if a burst came in k seconds.
        self._log_rows = window(self._logs, REACH, axis=1)[:, :REACH]
        self._extra_rows = window(self._extra, REACH, axis=1)[:, :REACH]

    def learn(self, rate: Floats, known: Floats, came: Floats, above: Floats) -> None:
        """A second that ended; what is `above` is a burst already."""
        if came.any():
            self._remember(came)
            self._clear *= 1.0 - came[:, None]  # what heralded this burst heralds no other one
        fresh = (known > 0) & (self._started == 0)
        self._level = np.where(fresh, rate, self._level)
        self._deviation = np.where(fresh, np.sqrt(rate), self._deviation)
        self._started = np.maximum(self._started, known)
        self._rate[:, 1:], self._clear[:, 1:] = self._rate[:, :-1].copy(), self._clear[:, :-1].copy()
        self._rate[:, 0] = rate
        self._clear[:, 0] = known * (1.0 - above) * (rate <= CALM_TIMES * np.maximum(self._level, 1.0))
        calm = self._clear[:, 0] / LEVEL_S
        apart = rate - self._level
        bound = STEADY * np.maximum(self._deviation, np.sqrt(self._level))
        self._level += calm * np.minimum(np.maximum(apart, -bound), bound)
        self._deviation += calm * (np.minimum(np.abs(apart), 2.0 * self._deviation) - self._deviation)

    def ahead(self, base: Floats) -> Floats:
        """[series, seconds]: by how much the logit of a second's chance is above that of the average."""
        if not self._speaks.any():
            return np.zeros((len(base), self._ahead))
        level = np.maximum(self._level, 1.0)
        noise = np.maximum((self._deviation / MEAN_ABSOLUTE) ** 2 / level, 1.0)
        counted, usual = self._clear * self._rate, self._clear * level[:, None]
        nats = np.matmul(self._log_rows, counted[..., None])[..., 0]
        nats -= np.matmul(self._extra_rows, usual[..., None])[..., 0]
        nats /= noise[:, None]
        nats -= np.maximum(nats.max(axis=1, keepdims=True) - MOST_NATS, 0.0)
        likelier = np.exp(np.maximum(nats, -MOST_NATS))
        chance = base[:, None] * likelier
        chance /= 1.0 + (chance - base[:, None]).sum(axis=1, keepdims=True)
        before = np.cumsum(chance, axis=1) - chance
        hazard = np.minimum(np.maximum(chance / np.maximum(1.0 - before, 1e-9), 1e-9), 1.0 - 1e-9)[:, : self._ahead]
        logit = np.log(hazard / (1.0 - hazard)) - np.log(base)[:, None]
        return np.where(self._speaks[:, None], np.minimum(np.maximum(logit, LOW), HIGH), 0.0)

    def skip(self) -> None:
        """After a gap nothing is known of the last seconds."""
        self._clear[:] = 0.0

    def _remember(self, came: Floats) -> None:
        """The seconds before the burst that has just begun become part of its class's template."""
        told = came[:, None] * self._clear
        keep = 1.0 - told / ONSETS
        ratio = self._rate / np.maximum(self._level, 1.0)[:, None]
        self._count, self._sum = self._count * keep + told, self._sum * keep + told * ratio
        self._squares = self._squares * keep + told * ratio**2
        count = np.maximum(self._count, 1e-9)
        mean = self._sum / count
        variance = np.maximum(self._squares / count - mean**2, 1.0 / np.maximum(self._level, 1.0)[:, None])
        apart = mean - 1.0
        clearly = np.maximum(1.0 - CLEARLY * variance / count / np.maximum(apart**2, 1e-12), 0.0)
        clearly = np.where(self._count >= LEAST, clearly, 0.0)
        times = np.minimum(np.maximum(1.0 + clearly * apart, 1.0 / MOST_TIMES), MOST_TIMES)
        self._logs[:, :REACH], self._extra[:, :REACH] = np.log(times), times - 1.0
        self._speaks = np.any(clearly > 0, axis=1)
