"""What a node says of itself, told by a thread of its own: whoever offers a value stores one reference and goes on."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from sentinel_api.errors import Transient
from sentinel_api.wire import pack_state
from sentinel_mesh.priority import prefer

if TYPE_CHECKING:
    from collections.abc import Callable

    from sentinel_api.records import NodeState

GAP_S: Final = 0.05
"""Half a period: ticks that come late and then on time are told one by one, a rush of them is not."""

T = TypeVar("T")


class Voice(Generic[T]):
    """Only what is new is told. When the tick stands still the node falls silent, as it should: its numbers are old."""

    def __init__(self, record: Callable[[T, int], NodeState], send: Callable[[bytes], None]) -> None:
        self._record, self._send = record, send
        self._latest: T | None = None
        self._offered = threading.Event()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mesh", daemon=True)
        self.sent = 0
        self.unsent = 0

    def start(self) -> None:
        self._thread.start()

    def offer(self, value: T) -> None:
        """Never waits; what was offered before and not told yet is gone."""
        self._latest = value
        self._offered.set()

    def stop(self) -> None:
        self._ended.set()
        self._offered.set()
        self._thread.join()

    def _run(self) -> None:
        prefer()
        seq = 0
        while self._offered.wait() and not self._ended.is_set():
            self._offered.clear()
            value, began_s = self._latest, time.monotonic()
            if value is None:
                continue
            seq += 1
            try:
                self._send(pack_state(self._record(value, seq)))
                self.sent += 1
            except Transient:
                self.unsent += 1
            self._ended.wait(max(began_s + GAP_S - time.monotonic(), 0.0))
