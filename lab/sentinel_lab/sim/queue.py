"""Bounded FIFO queues that share one drain, many nodes side by side, one small quantum of time a step.

Tier B as the kernel runs it: every class is served up to its guaranteed rate first, what is left of the link goes to
classes that still wait in proportion to their guarantees (HTB's quanta), and rates carry two milliseconds of tokens.
Within a quantum arrivals and service are even, so a step is exact for rates that are constant in it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

TOKENS_S: Final = 0.002
"""As `Plumbing._class` sets burst and cburst: a fiftieth of a second's tenth."""

EMPTY_BYTES: Final = 1e-6
LEAST_WEIGHT: Final = 1e-9


class Queues:
    """State of [classes, lanes]: a lane is one simulated node, and sums over its classes run along the lanes."""

    def __init__(self, drain: Floats, share: Floats, frame_bytes: Floats, limit: Floats, step_s: float) -> None:
        self._link = drain * step_s
        self._link_tokens = drain * TOKENS_S
        self._guaranteed = drain * share * step_s
        self._tokens = drain * share * TOKENS_S
        self._weight = np.maximum(share, LEAST_WEIGHT)
        self._frame = frame_bytes[:, None]
        self._link_credit = self._link_tokens.copy()
        self._credit = self._tokens.copy()
        self.backlog: Floats = np.zeros_like(limit)
        self.limit: Floats = limit.copy()
        self._room = self._whole(limit)
        self.accepted: Floats = np.zeros_like(limit)
        self.served: Floats = np.zeros_like(limit)
        self.dropped: Floats = np.zeros_like(limit)

    def resize(self, lane: int, limits: Floats) -> None:
        """Shrinking drops nothing that stands in the queue; arrivals are refused until it is below the limit."""
        self.limit[:, lane] = limits
        self._room[:, lane] = self._whole(limits[:, None])[:, 0]

    def _whole(self, limit: Floats) -> Floats:
        """A bfifo takes whole frames only."""
        found: Floats = np.floor(limit / self._frame) * self._frame
        return found

    def step(self, arriving: Floats) -> None:
        present = self.backlog + arriving
        sure = np.minimum(present, self._guaranteed + self._credit)
        wanting = present - sure
        left = self._link + self._link_credit - np.add.reduce(sure)
        borrowed = wanting
        if (np.add.reduce(wanting) > left).any():
            borrowed = self._shared(wanting, np.maximum(left, 0.0))
        self.served = sure + borrowed
        np.minimum(self._tokens, self._credit + self._guaranteed - sure, out=self._credit)
        np.minimum(self._link_tokens, left - np.add.reduce(borrowed), out=self._link_credit)
        after = present - self.served
        self.dropped = np.minimum(np.maximum(after - self._room, 0.0), arriving)
        self.accepted = arriving - self.dropped
        self.backlog = after - self.dropped

    def _shared(self, wanting: Floats, left: Floats) -> Floats:
        """Connected vessels: in each round who wants less than an even share is sated, and the rest share on."""
        found = np.zeros_like(wanting)
        thirst = wanting.copy()
        rest = left.copy()
        for _ in range(len(wanting)):
            width = np.where(thirst > EMPTY_BYTES, self._weight, 0.0)
            total = np.add.reduce(width)
            part = rest / np.maximum(total, LEAST_WEIGHT)
            given = np.minimum(width * part, thirst)
            found += given
            thirst -= given
            rest = rest - np.add.reduce(given)
            if not (rest > EMPTY_BYTES).any():
                break
        return found
