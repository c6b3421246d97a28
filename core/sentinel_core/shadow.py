"""Queues that are not there: what an interface that is only observed would have held and dropped under our orders.

A fluid model, fed with what arrived in each tick. Classes share the interface's rate as their weights say, and what
one leaves over goes to the others. Three rules meet the same traffic, each with a queue of its own. It cannot see what
comes and goes within a tick, nor how senders would have answered a drop or a mark: what it tells are estimates.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from sentinel_api.records import CLASSES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sentinel_core.room import Allocation

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

RULES: Final = ("ordered", "reactive", "static")
"""As was ordered · what the same tick's reactive rule asked for · the floors alone."""

NOTHING_LEFT: Final = 1e-6


@dataclass(slots=True)
class Shadow:
    """One row a class on an interface; a rate of zero means that nothing ever waits there, so nothing is imagined."""

    share_bps: Floats
    imagined: Bools
    """Rows of interfaces that are only observed, and have a rate."""
    seconds: float = 0.0
    backlog_bytes: Floats = field(init=False)
    """By rule and row, as all below."""
    refused_bytes: Floats = field(init=False)
    """In the last tick."""
    dropped_bytes: Floats = field(init=False)
    peak_bytes: Floats = field(init=False)
    arrived_bytes: Floats = field(init=False)
    """By row, for every rule sees the same."""
    _limits: Floats = field(init=False)

    def __post_init__(self) -> None:
        shape = (len(RULES), len(self.share_bps))
        self.backlog_bytes, self.refused_bytes = np.zeros(shape), np.zeros(shape)
        self.dropped_bytes, self.peak_bytes = np.zeros(shape), np.zeros(shape)
        self.arrived_bytes, self._limits = np.zeros(shape[1]), np.zeros(shape)

    def arrive(self, arrived_bytes: Floats, seconds: float) -> None:
        """What came since the last orders, which held meanwhile."""
        came = np.where(self.imagined, arrived_bytes, 0.0)
        left = self.backlog_bytes + came - self._served(self.backlog_bytes + came, seconds)
        first = self.seconds == 0.0  # no order held yet
        self.backlog_bytes = np.where(first, left, np.minimum(left, self._limits))
        self.refused_bytes = left - self.backlog_bytes
        self.dropped_bytes += self.refused_bytes
        self.peak_bytes = np.maximum(self.peak_bytes, self.backlog_bytes)
        self.arrived_bytes += came
        self.seconds += seconds

    def order(self, found: Allocation) -> None:
        """What each rule gives from now on."""
        given = (found.limit_bytes, found.reactive_bytes, found.static_bytes)
        self._limits = np.stack(given).astype(np.float64)

    def _served(self, waiting: Floats, seconds: float) -> Floats:
        """By interface: each class its share, then what is over to those that still wait, by their shares."""
        lanes = waiting.reshape(len(RULES), -1, CLASSES)
        shares = np.broadcast_to(self.share_bps.reshape(-1, CLASSES) * seconds, lanes.shape)
        served = np.minimum(lanes, shares)
        spare = (shares - served).sum(axis=2, keepdims=True)
        for _ in range(CLASSES):
            hungry = np.where(lanes - served > NOTHING_LEFT, shares, 0.0)
            total = hungry.sum(axis=2, keepdims=True)
            if not (total * spare > NOTHING_LEFT).any():
                break
            more = np.minimum(lanes - served, hungry * spare / np.maximum(total, NOTHING_LEFT))
            served = served + more
            spare = spare - more.sum(axis=2, keepdims=True)
        return served.reshape(waiting.shape)
