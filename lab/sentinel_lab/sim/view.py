"""What a rule may see of a simulated node: what one period added to its counters, and nothing of what is to come.

A policy is handed whole numbers and answers with whole numbers. It never holds the run, the traffic or the truth: a
test walks everything it can reach, and another shows that two futures with one past get the same answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sentinel_lab.policies import Seen

if TYPE_CHECKING:
    from collections.abc import Sequence

ROUNDING: Final = 1e-6
"""Of a frame: sums of bytes fall short of whole frames by this little."""


@dataclass(frozen=True, slots=True, eq=False)
class Counters:
    """What one node's queues count and hold, by column, at one instant."""

    arrived_bytes: Sequence[float]
    dropped_bytes: Sequence[float]
    backlog_bytes: Sequence[float]
    limit_bytes: Sequence[float]


@dataclass(frozen=True, slots=True)
class _Reading:
    packets: int
    drained_bytes: int
    lost: int


class Eye:
    """Remembers the last reading, since everything that is counted only grows."""

    def __init__(self, ids: Sequence[int], frame_bytes: Sequence[float]) -> None:
        self._ids = ids
        self._frame = [int(each) for each in frame_bytes]
        self._before = [_Reading(0, 0, 0)] * len(ids)
        self._before_ns = 0

    def look(self, now_ns: int, counters: Counters) -> dict[int, Seen]:
        """Whole frames of what arrived and was lost, as a kernel counts them."""
        elapsed_s = (now_ns - self._before_ns) / 1e9
        self._before_ns = now_ns
        found = {}
        for column, class_id in enumerate(self._ids):
            arrived, dropped = counters.arrived_bytes[column], counters.dropped_bytes[column]
            backlog, frame = counters.backlog_bytes[column], self._frame[column]
            before = self._before[column]
            now = _Reading(
                packets=int(arrived / frame + ROUNDING),
                drained_bytes=int(arrived - dropped - backlog + ROUNDING),
                lost=int(dropped / frame + ROUNDING),
            )
            self._before[column] = now
            found[class_id] = Seen(
                now_ns=now_ns,
                elapsed_s=elapsed_s,
                backlog_bytes=int(backlog),
                limit_bytes=int(counters.limit_bytes[column]),
                arrived_bytes=(now.packets - before.packets) * frame,
                drained_bytes=now.drained_bytes - before.drained_bytes,
                dropped_packets=now.lost - before.lost,
                arrived_packets=now.packets - before.packets,
            )
        return found
