"""What a rule may see of a simulated node: what one period added to its counters, and nothing of what is to come.

A policy is handed whole numbers and answers with whole numbers. It never holds the run, the traffic or the truth: a
test walks everything it can reach, and another shows that two futures with one past get the same answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sentinel_lab.policies import Seen

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Counters:
    """One lane's row of what the queues count and hold, by column, at one instant."""

    arrived_bytes: Floats
    served_bytes: Floats
    dropped_bytes: Floats
    backlog_bytes: Floats
    limit_bytes: Floats


class Eye:
    """Remembers the last reading, since everything that is counted only grows."""

    def __init__(self, ids: Sequence[int], frame_bytes: Floats) -> None:
        self._ids = ids
        self._frame = frame_bytes
        self._before = np.zeros((4, len(ids)), np.int64)
        self._before_ns = 0

    def look(self, now_ns: int, counters: Counters) -> dict[int, Seen]:
        """Whole frames of what arrived and was lost, as a kernel counts them."""
        packets = np.floor(counters.arrived_bytes / self._frame + 1e-6)
        lost = np.floor(counters.dropped_bytes / self._frame + 1e-6)
        totals = np.stack([packets * self._frame, packets, np.floor(counters.served_bytes), lost]).astype(np.int64)
        added = (totals - self._before).tolist()
        elapsed_s = (now_ns - self._before_ns) / 1e9
        self._before, self._before_ns = totals, now_ns
        return {
            class_id: Seen(
                now_ns=now_ns,
                elapsed_s=elapsed_s,
                backlog_bytes=int(counters.backlog_bytes[column]),
                limit_bytes=int(counters.limit_bytes[column]),
                arrived_bytes=added[0][column],
                drained_bytes=added[2][column],
                dropped_packets=added[3][column],
                arrived_packets=added[1][column],
            )
            for column, class_id in enumerate(self._ids)
        }
