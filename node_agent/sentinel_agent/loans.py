"""What was lent to each queue and taken back again: the node's memory is a hard total, so people may see who has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]

WINDOW_TICKS: Final = 100
"""What was taken back is told for ten seconds: as long as the shortest time between two reports."""


class Loans:
    """One row a queue; `step` once a tick."""

    def __init__(self, rows: int) -> None:
        self._lent = np.zeros(rows, np.int64)
        self._past = np.zeros((WINDOW_TICKS, rows), np.int64)
        self._at = 0
        self.lent_total = 0
        self.taken_back: Ints = np.zeros(rows, np.int64)
        """Since the start."""
        self.lately: Ints = np.zeros(rows, np.int64)
        """Within the window."""

    def step(self, lent: Ints) -> Ints:
        """What this tick took back, given what is lent after it."""
        change = lent - self._lent
        back: Ints = np.maximum(-change, 0)
        self.lent_total += int(np.maximum(change, 0).sum())
        self.taken_back = self.taken_back + back
        self.lately = self.lately + back - self._past[self._at]
        self._past[self._at] = back
        self._at = (self._at + 1) % WINDOW_TICKS
        self._lent = lent
        return back
