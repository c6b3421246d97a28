"""The grid of instants the tick keeps to: late ticks are dropped and counted, never queued."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from sentinel_mesh.priority import go_first

__all__ = ["Beat", "Metronome", "go_first", "next_beat"]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Beat:
    """One instant of the grid, and how many before it were missed since the last one."""

    deadline_ns: int
    missed: int


def next_beat(deadline_ns: int, now_ns: int, period_ns: int) -> Beat:
    """The first instant of the grid after `now_ns`; a clock that stands still or a tick in time misses none."""
    missed = max(0, now_ns - deadline_ns) // period_ns
    return Beat(deadline_ns + (missed + 1) * period_ns, missed)


class Metronome:
    """Calls `tick` on the grid until told to stop; runs in the thread that calls `run`.

    The loop is a monotonic one: a jump of the wall clock changes nothing. `stop` ends it within one period.
    """

    def __init__(self, period_ns: int, tick: Callable[[Beat], None]) -> None:
        self.period_ns = period_ns
        self.tick = tick
        self._stopped = threading.Event()

    def stop(self) -> None:
        self._stopped.set()

    def run(self) -> None:
        log.info("tick_scheduled", as_=go_first())
        beat = Beat(time.monotonic_ns(), 0)
        while not self._stopped.is_set():
            self.tick(beat)
            beat = next_beat(beat.deadline_ns, time.monotonic_ns(), self.period_ns)
            self._stopped.wait(max(0, beat.deadline_ns - time.monotonic_ns()) / 1e9)
