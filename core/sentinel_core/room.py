"""What the flow stabilisation unit is told and what it answers: the values of `allocate`, one row a queue.

A row is a traffic class on one interface. The node's interfaces share one pool, so all their rows are decided together;
the sums never look at which row is which.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final

import numpy as np

from sentinel_api.errors import Invalid
from sentinel_api.records import CLASSES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sentinel_core.forecast import Forecast

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

BYTES_MAX: Final = 1 << 40
"""Amounts are clamped to 1 TiB, so that amount times weight stays exact in 64 bits."""


class Why(IntEnum):
    """What the last byte of a class's room is for; the text is shown to people."""

    FLOOR = 0
    REACTIVE = 1
    FORECAST = 2
    KEPT = 3
    LENT = 4
    CAPPED = 5
    PRE_DRAIN = 6
    SHORT = 7
    UNMEASURED = 8
    CEILING = 9
    WARNED = 10


REASONS: Final = {
    Why.FLOOR: "calm: its floor is enough",
    Why.REACTIVE: "what is queued, the present trend, and what a period may bring at once need it",
    Why.FORECAST: "a burst is forecast",
    Why.KEPT: "kept for a while after it was last needed",
    Why.LENT: "lent from what nobody needs, recalled on demand",
    Why.CAPPED: "more would make the class wait longer than it may",
    Why.PRE_DRAIN: "gives way before a burst forecast for a class that loses more",
    Why.SHORT: "the pool has no more: classes of higher priority or queued bytes take it",
    Why.UNMEASURED: "not measured: left as it was",
    Why.CEILING: "its ceilingBytes is reached",
    Why.WARNED: "signs of a burst: its trend is followed further ahead",
}


@dataclass(frozen=True, slots=True, eq=False)
class Limits:
    """What the spec allows, one entry a row. Priority 0 goes first; `drop_cost` is against 1 for a byte held."""

    pool_bytes: int
    lend_bytes: int
    """Room is lent only while all together hold less than this: the pool's calm size."""
    floor_bytes: Ints
    max_delay_us: Ints
    priority: Ints
    weight: Ints
    drop_cost: Ints
    least_bytes: Ints | None = None
    """Below it a queue is a policer, so not even the cap on delay goes there; None: nothing is due to anybody."""
    ceiling_bytes: Ints | None = None
    """Never exceeded, whatever the forecast says; None: there is none."""
    grow_step_bytes: int = BYTES_MAX
    """Most that forecast and loan add in a tick; floors and reactive needs are granted at once."""
    shrink_step_bytes: int = 1 << 20
    refractory_ns: int = 2_000_000_000
    """Room is kept so long after half of it was last needed, if nobody else needs it, and then shrinks by steps."""

    def __post_init__(self) -> None:
        if not 0 <= self.pool_bytes <= BYTES_MAX or self.lend_bytes < 0:
            raise Invalid(f"a pool of {self.pool_bytes} bytes cannot be shared: give 0 to {BYTES_MAX}")
        if not ((self.weight >= 1) & (self.weight <= 1000)).all():
            raise Invalid("a weight of a class is out of bounds: give 1 to 1000")
        if not (self.drop_cost >= 1).all() or not (self.floor_bytes >= 0).all() or not (self.max_delay_us >= 0).all():
            raise Invalid("a floor or delay is negative or a drop cost below 1: correct the class")
        least = 0 if self.least_bytes is None else int(self.least_bytes.sum())
        if least > self.pool_bytes:
            raise Invalid(
                f"a pool of {self.pool_bytes} bytes has no two frames for each queue: raise pool.maxBytes to {least}"
            )


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What was measured; rates in bytes per second. `flow_floor_bytes` is Σ flow BDP / √flows from the flow table;
    `warning` is how strong the signs of a burst are, from 0 to 1."""

    now_ns: int
    arrivals: Floats
    drain: Floats
    backlog_bytes: Ints
    flow_floor_bytes: Ints
    measured: Bools
    warning: Floats | None = None
    announced: Floats | None = None
    """Bytes per second that somebody who decides about it says will come; what comes anyway may be more."""
    refused_bytes: Floats | None = None
    """What was dropped since the look before; it would wait now, had there been room."""
    sudden_bytes: Floats | None = None
    """By how much the queue lately grew within one period, if nothing was there to say so before."""


@dataclass(frozen=True, slots=True, eq=False)
class Outlook:
    """The forecast, and how far it is trusted per row: the live score from 0 (below the gate) to 1."""

    forecast: Forecast
    trust: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """What one tick hands to the next."""

    limit_bytes: Ints
    kept_bytes: Ints
    """Without what was lent."""
    needed_ns: Ints
    arrivals: Floats
    backlog_bytes: Ints
    foreseen_bytes: Ints
    foreseen_ns: Ints
    """What the last likely burst was due, and when it was last likely."""


@dataclass(frozen=True, slots=True, eq=False)
class Allocation:
    """The room of each row, why, and what other rules would have given from the same inputs."""

    limit_bytes: Ints
    cap_bytes: Ints
    why: NDArray[np.int8]
    burst: Bools
    """Gains of the burst set are due: a burst is expected or present."""
    draining: Bools
    """The class gives way: its target delay should fall with its limit, so that its senders are marked early."""
    static_bytes: Ints
    reactive_bytes: Ints
    forecast_bytes: Ints
    """Alternatives: the floors alone, with the reactive rule, with the forecast but neither kept nor lent."""
    lent_bytes: Ints
    held: Held

    def reason(self, index: int) -> str:
        return REASONS[Why(int(self.why[index]))]


def start(now_ns: int, rows: int = CLASSES) -> Held:
    """Before the first tick nothing is held, and there is no earlier rate to take a slope from."""
    zeros = np.zeros(rows, np.int64)
    now = np.full(rows, now_ns)
    return Held(
        limit_bytes=zeros,
        kept_bytes=zeros,
        needed_ns=now,
        arrivals=np.full(rows, np.nan),
        backlog_bytes=zeros,
        foreseen_bytes=zeros,
        foreseen_ns=now,
    )
