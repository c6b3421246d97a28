"""A sign of life between states, by a thread of its own, so that a death is noticed sooner than three states take."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Final

from sentinel_api.errors import Transient
from sentinel_api.records import Beat
from sentinel_api.wire import pack_beat
from sentinel_mesh.priority import go_first
from sentinel_mesh.pulse import PERIOD_NS

if TYPE_CHECKING:
    from collections.abc import Callable

PERIOD_MS: Final = PERIOD_NS // 1_000_000


class Beats:
    """They say that the process lives, not that its tick does: states say that, and fall silent with it."""

    def __init__(self, incarnation: int, send: Callable[[bytes], None], period_ms: int = PERIOD_MS) -> None:
        self._incarnation, self._send, self._period_ms = incarnation, send, period_ms
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="beats", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        go_first()
        seq, due_ns, period_ns = 0, time.monotonic_ns(), self._period_ms * 1_000_000
        while not self._ended.wait(max(due_ns - time.monotonic_ns(), 0) / 1e9):
            seq += 1
            with contextlib.suppress(Transient):  # the next is due in a moment; who cannot speak should be missed
                self._send(pack_beat(Beat(self._incarnation, seq, self._period_ms)))
            now_ns = time.monotonic_ns()
            due_ns += period_ns * (1 + max(now_ns - due_ns, 0) // period_ns)
