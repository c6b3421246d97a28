"""Listens for beats in short steps, on a clock that stands still while this process does not run.

A process that was held up finds everybody late at once, though only it was: what waits is read before anybody is
judged, a long step counts as a short one, and one in which the engine read nothing of what had come counts as none.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sentinel_mesh.priority import go_first

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

STEP_NS: Final = 5_000_000
LONGEST_STEP_NS: Final = 2 * STEP_NS
"""More than this between two looks was the watcher's own delay, not the silence of others."""


@dataclass(frozen=True, slots=True)
class Clock:
    """The watcher's, as of its last look; of one who never looked, it never stood still."""

    looked_ns: int | None = None
    awake_ns: int = 0

    def held_ns(self, now_ns: int) -> int:
        """How late the watcher was in all, up to now: the difference of two of these is what it was late between."""
        if self.looked_ns is None:
            return 0
        return self.looked_ns - self.awake_ns + max(now_ns - self.looked_ns - LONGEST_STEP_NS, 0)


Heard = tuple[str, int, "Callable[[], bytes]"]
"""Key, size, and how to read it."""


class Watch:
    """Drains `waiting` every few milliseconds into `tell(beats, awake_ns)`."""

    def __init__(
        self,
        waiting: Callable[[], Iterable[Heard]],
        tell: Callable[[Iterable[Heard], int], None],
        stuck: Callable[[int], bool],
    ) -> None:
        """`stuck` says at an instant whether the engine is behind with reading."""
        self._waiting, self._tell, self._stuck = waiting, tell, stuck
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        go_first()
        awake_ns = looked_ns = time.monotonic_ns()
        ended = False
        while not ended:
            ended = self._ended.wait(STEP_NS / 1e9)  # and once more after the end, for what had come by then
            now_ns = time.monotonic_ns()
            elapsed_ns, looked_ns = now_ns - looked_ns, now_ns
            awake_ns = awake_ns if self._stuck(now_ns) else step(awake_ns, elapsed_ns)
            self._tell(self._waiting(), awake_ns)


def step(awake_ns: int, elapsed_ns: int) -> int:
    """The clock of the time awake, after so long."""
    return awake_ns + min(elapsed_ns, LONGEST_STEP_NS)
