"""How much a class's queue grows in one period when something begins in it: what comes before a tick can answer.

No rule that looks once a period can make room for the bytes of that period, so it has to have it beforehand. What the
last minute or two brought is the best guess of it, it needs no forecast, and it is small: one tick, not a whole burst.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from sentinel_core.sample import PERIOD_NS, Valid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sentinel_core.sample import Sample

    Floats = NDArray[np.float64]

HALF_NS: Final = 60_000_000_000
"""The largest growth is remembered by halves of so long: for one to two minutes."""

MARGIN: Final = 1.25
"""An order is in force some milliseconds after the look it answers, and the next burst may be steeper than the last."""


class Surges:
    """`step` once a tick; `bytes` is the room that the next period may need at once, by class."""

    def __init__(self, classes: int) -> None:
        self._backlog = np.zeros(classes)
        self._known = np.zeros(classes, np.bool_)
        self._lately, self._before = np.zeros(classes), np.zeros(classes)
        self._turned_ns: int | None = None

    @property
    def bytes(self) -> Floats:
        found: Floats = MARGIN * np.maximum(self._lately, self._before)
        return found

    def step(self, sample: Sample) -> None:
        """A class whose queue was not measured, now or just before, teaches nothing."""
        self._turn(sample.t_ns)
        measured = sample.has(Valid.QUEUE)
        backlog = sample.backlog_bytes.astype(np.float64)
        refused = sample.refused_bytes()
        # Whoever was refused something had a full queue then, even if it has drained since.
        peak = np.where(refused > 0, np.maximum(sample.limit_bytes, backlog) + refused, backlog)
        grown = np.maximum(peak - self._backlog, 0.0) * min(1.0, PERIOD_NS / sample.period_ns)
        self._lately = np.where(measured & self._known, np.maximum(self._lately, grown), self._lately)
        self._backlog, self._known = backlog, measured

    def _turn(self, now_ns: int) -> None:
        if self._turned_ns is None:
            self._turned_ns = now_ns
        elif now_ns - self._turned_ns >= HALF_NS:
            self._before, self._lately = self._lately, np.zeros_like(self._lately)
            self._turned_ns = now_ns
