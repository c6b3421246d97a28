"""When an UDP flow may have come from another balancer: for a while after something changed among them.

A new UDP flow and one that a router moved here look alike. Only time tells them apart: routers move flows when a
balancer comes or goes, and a flow that was silent for its idle time would be placed anew anyway.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sentinel_core.rules import PROTOCOLS

if TYPE_CHECKING:
    from collections.abc import Iterable, Set

    from sentinel_lb.decide.services import Service

UNHEARD_NS: Final = 5_000_000_000
"""A router may have moved flows so long before the mesh says why: without BFD a session is held for 3 s at least."""

SHORTEST_NS: Final = 30_000_000_000
LONGEST_NS: Final = 3_600_000_000_000
"""The kernel tells the age of a flow up to two hours and a half."""


@dataclass(frozen=True, slots=True)
class Strays:
    """Until `until_ns`, flows that were first met after `from_ns` may live at their other candidate."""

    from_ns: int = 0
    until_ns: int = 0


def strays(last: Strays, was: Set[str] | None, others: Set[str], now_ns: int, idle_ns: int) -> Strays:
    """`was` and `others` are the balancers beside this one; None: this one has just begun, with empty tables."""
    if was == others:
        return last
    from_ns = last.from_ns if now_ns < last.until_ns else max(0, now_ns - UNHEARD_NS)
    return Strays(from_ns, now_ns + idle_ns)


def longest_idle(wanted: Iterable[Service]) -> int:
    """How long any of these lets an UDP flow be silent, in nanoseconds."""
    found = [each.idle_ns for each in wanted if each.protocol == PROTOCOLS["UDP"]]
    return min(LONGEST_NS, max([SHORTEST_NS, *found]))
