"""The rules under comparison: each sees what a tick can see, never the schedule, and answers with limits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from sentinel_lab.scenario import Scenario

CALM_BEFORE_SHRINK_NS = 1_000_000_000  # a burst's own gaps must not cost it the room it just got


@dataclass(frozen=True, slots=True)
class Seen:
    """One class over the tick that just ended."""

    now_ns: int
    elapsed_s: float
    backlog_bytes: int
    limit_bytes: int
    arrived_bytes: int
    drained_bytes: int
    dropped_packets: int


class Policy(Protocol):
    name: str
    period_s: float

    def limit(self, seen: Seen) -> int:
        """Bytes the class may hold from now on."""


@dataclass(slots=True)
class Static:
    name: str
    bytes_: int
    period_s: float = 0.1

    def limit(self, seen: Seen) -> int:  # noqa: ARG002 - a static rule looks at nothing
        return self.bytes_


@dataclass(slots=True)
class Reactive:
    """Room for what stands in the queue, two more periods at the present slope, and the floor on top.

    Grows at once, doubles on a drop, and gives back only after a second in which half of it would have done.
    """

    name: str
    period_s: float
    floor_bytes: int
    ceiling_bytes: int
    _needed_since_ns: int = field(default=0, init=False)

    def limit(self, seen: Seen) -> int:
        slope = max(0.0, (seen.arrived_bytes - seen.drained_bytes) / seen.elapsed_s)
        needed = self.floor_bytes + seen.backlog_bytes + 2 * slope * self.period_s
        if seen.dropped_packets:
            needed = max(needed, 2 * seen.limit_bytes)
        if needed > seen.limit_bytes / 2:
            self._needed_since_ns = seen.now_ns
            return self._bounded(max(needed, seen.limit_bytes))
        if seen.now_ns - self._needed_since_ns < CALM_BEFORE_SHRINK_NS:
            return seen.limit_bytes
        self._needed_since_ns = seen.now_ns
        return self._bounded(needed)

    def _bounded(self, wanted: float) -> int:
        return int(min(self.ceiling_bytes, max(self.floor_bytes, wanted)))


POLICIES: dict[str, Callable[[Scenario], Policy]] = {
    "reactive-100ms": lambda s: Reactive("reactive-100ms", 0.1, s.floor_bytes, s.pool_bytes),
    "reactive-10ms": lambda s: Reactive("reactive-10ms", 0.01, s.floor_bytes, s.pool_bytes),
    "static-large": lambda s: Static("static-large", s.pool_bytes),
    "static-small": lambda s: Static("static-small", s.floor_bytes),
}
