"""What nodes, routers and balancers tell each other through the mesh, as values; `wire.py` turns them into bytes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum, IntFlag
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

CLASSES: Final = 16
"""Traffic classes of a node; class 0 is what no rule matched."""

HORIZONS_S: Final = (30, 60, 120, 300)
"""Horizons of the capacity forecast."""


class Tier(Enum):
    """How a node enforces its orders."""

    A = 1
    B = 2
    C = 3


class Role(Enum):
    """What a node does in the cluster."""

    BUFFER = 1
    EDGE = 2


class Flag(IntFlag):
    """Facts about a node that change how its numbers are read. Unknown bits of a newer writer are kept."""

    DRAINING = 1
    FALLBACK_FORECAST = 2
    FORECAST_GATED = 4
    DEGRADED = 8
    STATIC_LIMITS = 16


NO_FLAGS: Final = Flag(0)


@dataclass(frozen=True, slots=True)
class ClassState:
    """What one class of a node can take, and what the node expects of it."""

    headroom_bytes: int = 0
    """Bytes the node can accept in the next second without a drop."""
    burst_probability: float = 0.0
    """Of a burst within 10 s."""
    burst_in_s: float = 0.0
    burst_p50_bytes: int = 0
    """Bytes beyond what the class drains, if the burst comes."""
    burst_p90_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Demand:
    """Bytes per second now, as a mean over the report's period, and expected at each of `HORIZONS_S`."""

    now: int = 0
    p50: tuple[int, ...] = (0,) * len(HORIZONS_S)
    p95: tuple[int, ...] = (0,) * len(HORIZONS_S)


@dataclass(frozen=True, slots=True)
class NodeState:
    """`incarnation` grows with each start of the process, `seq` with each record: together they order records."""

    incarnation: int
    seq: int
    tier: Tier
    role: Role
    flags: Flag = NO_FLAGS
    load: float = 0.0
    demand: Demand = Demand()
    classes: tuple[ClassState, ...] = (ClassState(),) * CLASSES

    def newer_than(self, other: NodeState) -> bool:
        """A replayed or overtaken record is not newer; no clock is asked."""
        return (self.incarnation, self.seq) > (other.incarnation, other.seq)


@dataclass(frozen=True, slots=True)
class Beat:
    """A sign of life between states; the next is due after `period_ms`. Its incarnation is the state's, its numbers
    are its own."""

    incarnation: int
    seq: int
    period_ms: int


@dataclass(frozen=True, slots=True)
class Alarm:
    """A burst seen or expected at `origin`. Onset counts from the sending, since clocks of nodes differ."""

    origin: str
    traffic_class: int
    onset_in_ms: int
    """Negative when the burst has already begun."""
    magnitude_bytes: int
    confidence: float
    hop_limit: int
    incarnation: int = 0
    seq: int = 0

    def forwarded(self, held_ms: int) -> Alarm | None:
        """The alarm to pass on after holding it for `held_ms`; None when it has come far enough."""
        if self.hop_limit <= 0:
            return None
        return replace(self, hop_limit=self.hop_limit - 1, onset_in_ms=self.onset_in_ms - held_ms)


@dataclass(frozen=True, slots=True)
class Digest:
    """Many nodes as one: sums a router makes, from which the quantile of the sum can still be formed.

    `spread` is the sum of (p95 - p50) over the nodes and `spread_norm` the root of the sum of its squares, each per
    horizon: with a correlation r between nodes the spread of the sum is sqrt(r * spread**2 + (1 - r) * spread_norm**2).
    """

    incarnation: int
    seq: int
    nodes: int
    fresh_nodes: int
    demand_now: int = 0
    demand_p50: tuple[int, ...] = (0,) * len(HORIZONS_S)
    spread: tuple[int, ...] = (0,) * len(HORIZONS_S)
    spread_norm: tuple[int, ...] = (0,) * len(HORIZONS_S)
    headroom_bytes: tuple[int, ...] = (0,) * CLASSES


@dataclass(frozen=True, slots=True)
class Share:
    """Bytes per second a balancer intends to send to each node, per class."""

    incarnation: int
    seq: int
    intended: Mapping[str, tuple[int, ...]]
