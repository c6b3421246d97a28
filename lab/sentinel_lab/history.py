"""What one node went through, tick by tick: the live view, the plots and the figures read nothing else."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sentinel_bpf.buffer.port import sojourn_quantile_us

if TYPE_CHECKING:
    from collections.abc import Sequence

Series = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Tick:
    """One class at one instant; what only grows is a total since the start."""

    at_ns: int
    limit_bytes: int
    backlog_bytes: int
    arrived_packets: int
    arrived_bytes: int
    sent_bytes: int
    drops: int
    past_queue: int  # packets that met no live order, so that the queue never saw them
    sojourn: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Event:
    at_ns: int
    text: str


@dataclass(slots=True)
class History:
    """Written by one thread, read by others: lists only ever grow."""

    ticks: dict[int, list[Tick]] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    late_ticks: int = 0
    forecast: str = ""
    """The last word of whoever forecasts, for people."""
    beat_ns: int = 0
    """An instant at which the controller looked; the others lie whole periods from it."""

    def add(self, class_id: int, tick: Tick) -> None:
        self.ticks.setdefault(class_id, []).append(tick)

    def after(self, start_ns: int) -> History:
        """Without the idle ticks before the traffic, whose number is chance and would dilute every mean."""
        ticks = {each: [tick for tick in mine if tick.at_ns >= start_ns] for each, mine in self.ticks.items()}
        return History(ticks, self.events, self.late_ticks)

    def until(self, end_ns: int) -> History:
        ticks = {each: mine[: bisect_right(mine, end_ns, key=_when)] for each, mine in self.ticks.items()}
        return History(ticks, self.events[: bisect_right(self.events, end_ns, key=_when)], self.late_ticks)

    def of(self, class_id: int) -> Sequence[Tick]:
        return self.ticks.get(class_id, [])

    def seconds(self, class_id: int, start_ns: int) -> Series:
        return np.array([(tick.at_ns - start_ns) / 1e9 for tick in self.of(class_id)])

    def series(self, class_id: int, name: str) -> Series:
        return np.array([getattr(tick, name) for tick in self.of(class_id)], dtype=np.float64)

    def sojourn_ms(self, class_id: int, quantile: float) -> float:
        """As the kernel measured it, over the whole run; a bucket is a fifth of its time wide."""
        ticks = self.of(class_id)
        return sojourn_quantile_us(ticks[-1].sojourn, quantile) / 1000 if ticks else 0.0

    def time_mean(self, class_id: int, name: str) -> float:
        """Weighted by how long each value stood: ticks are not equally far apart under load."""
        ticks = self.of(class_id)
        if len(ticks) < 2:
            return 0.0
        spans = np.diff([tick.at_ns for tick in ticks])
        return float(np.average(self.series(class_id, name)[:-1], weights=spans))

    def leaving_bytes_per_s(self, class_id: int, seconds: float) -> float:
        """Of the first so many seconds: what still stands in a queue at their end has not got through."""
        ticks = self.of(class_id)
        within = ticks[: bisect_right(ticks, ticks[0].at_ns + round(seconds * 1e9), key=_when)] if ticks else ()
        if len(within) < 2:
            return 0.0
        first, last = within[0], within[-1]
        return (last.sent_bytes - first.sent_bytes) / ((last.at_ns - first.at_ns) / 1e9)


def _when(what: Tick | Event) -> int:
    return what.at_ns
