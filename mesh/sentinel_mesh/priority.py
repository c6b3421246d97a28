"""Who must not wait for a CPU: whoever says "I live", and whoever judges others by it.

On a busy machine an ordinary thread waits for as long as a death may go unnoticed. Then the living are suspected, the
watcher may believe nobody, and a dead node keeps its flows until the work beside it ends.
"""

from __future__ import annotations

import os
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

NICE: Final = -11
REAL_TIME: Final = 1  # the lowest: everything else that is real-time goes before us


def go_first() -> str:
    """Have this thread scheduled before ordinary ones, where the system lets us (limits of the unit, or root); what was
    got. For one that runs for a few of every hundred milliseconds; should it run away, the kernel throttles it. What it
    starts is ordinary again."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR | os.SCHED_RESET_ON_FORK, os.sched_param(REAL_TIME))
    except PermissionError:
        return "nice" if prefer() else "ordinary"
    return "real-time"


def prefer() -> bool:
    """This thread and all that it starts from now on before ordinary ones; whether the system lets us."""
    try:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
    except PermissionError:
        return False
    return True


@contextmanager
def preferred() -> Iterator[None]:
    """Only what is started in the block, which stays so."""
    thread = threading.get_native_id()
    before = os.getpriority(os.PRIO_PROCESS, thread)
    prefer()
    try:
        yield
    finally:
        with suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, thread, before)
