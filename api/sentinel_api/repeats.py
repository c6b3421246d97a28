"""A fault that comes back a thousand times is told three times a minute: repeats are left out where lines are made, for
what was never written need not be shipped, stored or paid for."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping

WINDOW_S: Final = 60.0
TOLD: Final = 3
KNOWN: Final = 1024
"""Lines that are remembered; whatever writes more kinds of them in a window is told in full."""


@dataclass(slots=True)
class _Seen:
    since_s: float
    count: int = 0


class Repeats:
    """A processor of structlog. Lines are the same when event, level and all words in them are; numbers may differ.

    The first line after a window says how many were left out: `repeats=97`.
    """

    def __init__(self, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._seen: dict[tuple[str, ...], _Seen] = {}
        self._lock = threading.Lock()

    def __call__(self, _logger: Any, level: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Raises DropEvent for a line that is left out."""
        words = (level, *(f"{name}={value}" for name, value in sorted(line.items()) if isinstance(value, str)))
        with self._lock:
            left_out = self._counted(words)
        if left_out < 0:
            raise structlog.DropEvent
        if left_out:
            line["repeats"] = left_out
        return line

    def _counted(self, words: tuple[str, ...]) -> int:
        """How many were left out before this one; -1 when this one is."""
        now_s = self._now_s()
        seen = self._seen.get(words)
        if seen is None or now_s - seen.since_s >= WINDOW_S:
            if seen is None and len(self._seen) >= KNOWN:
                self._forget(now_s)
            self._seen[words] = _Seen(now_s, 1)
            return max(0, seen.count - TOLD) if seen is not None else 0
        seen.count += 1
        return 0 if seen.count <= TOLD else -1

    def _forget(self, now_s: float) -> None:
        kept = {words: seen for words, seen in self._seen.items() if now_s - seen.since_s < WINDOW_S}
        self._seen = kept if len(kept) < KNOWN else {}
