"""What every rule under comparison is: it sees what a tick can see, never the schedule, and answers with limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


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
    arrived_packets: int = 0


class Policy(Protocol):
    name: str
    period_s: float

    def limits(self, seen: Mapping[int, Seen]) -> Mapping[int, int]:
        """Bytes each class may hold from now on; a class left out keeps what it has."""
