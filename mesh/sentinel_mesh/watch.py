"""Listens for beats in short steps, on a clock that stands still while this process does not run.

A process that was held up finds everybody late at once, though only it was: what waits is read before anybody is
judged, and a long step counts as a short one.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

STEP_NS: Final = 5_000_000
LONGEST_STEP_NS: Final = 2 * STEP_NS
"""More than this between two looks was the watcher's own delay, not the silence of others."""

Heard = tuple[str, int, "Callable[[], bytes]"]
"""Key, size, and how to read it."""


class Watch:
    """Drains `waiting` every few milliseconds into `tell(beats, awake_ns)`."""

    def __init__(self, waiting: Callable[[], Iterable[Heard]], tell: Callable[[Iterable[Heard], int], None]) -> None:
        self._waiting, self._tell = waiting, tell
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        awake_ns, looked_ns, ended = 0, time.monotonic_ns(), False
        while not ended:
            ended = self._ended.wait(STEP_NS / 1e9)  # and once more after the end, for what had come by then
            now_ns = time.monotonic_ns()
            awake_ns, looked_ns = step(awake_ns, now_ns - looked_ns), now_ns
            self._tell(self._waiting(), awake_ns)


def step(awake_ns: int, elapsed_ns: int) -> int:
    """The clock of the time awake, after so long."""
    return awake_ns + min(elapsed_ns, LONGEST_STEP_NS)
