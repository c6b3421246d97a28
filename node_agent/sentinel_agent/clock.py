"""The grid of instants the tick keeps to: late ticks are dropped and counted, never queued."""

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog

NICE: Final = -11
REAL_TIME_PRIORITY: Final = 1  # the lowest: everything else that is real-time goes before us

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


def go_first() -> str:
    """Have this thread scheduled before ordinary ones, where the system lets us (limits of the unit, or root): a late
    tick costs a lease. It runs for a few of every hundred milliseconds, and real-time threads are throttled by the
    kernel should it ever run away. What was got, for the log."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(REAL_TIME_PRIORITY))
    except PermissionError:
        pass
    else:
        return "real-time"
    try:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
    except PermissionError:
        return "ordinary"
    return "nice"


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
