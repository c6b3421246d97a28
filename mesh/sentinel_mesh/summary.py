"""What a zone's router tells the others: once a second the sum of what it hears, by a thread of its own."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING, Protocol

from sentinel_api.errors import Transient
from sentinel_api.wire import pack_digest
from sentinel_mesh.digests import PERIOD_S, summed
from sentinel_mesh.keys import Keys
from sentinel_mesh.roster import Roster

if TYPE_CHECKING:
    from sentinel_mesh.engine import Ear
    from sentinel_mesh.place import Place


class Wire(Protocol):
    """What it needs of a router."""

    def hear(self, key: str, ear: Ear) -> None: ...
    def say(self, key: str, record: bytes) -> None: ...


class Summary:
    """Two routers of a zone tell the same sums; the one that started last is believed as long as it speaks."""

    def __init__(self, place: Place, wire: Wire) -> None:
        keys = Keys(place.cluster, place.zone)
        self._key, self._wire, self._incarnation = keys.digest(), wire, place.incarnation
        self._roster = Roster(place.node)
        wire.hear(keys.every_state, self._roster)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="summary", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        seq = 0
        while not self._ended.wait(PERIOD_S):
            seq += 1
            digest = summed(self._roster.view(time.monotonic_ns()), self._incarnation, seq)
            with contextlib.suppress(Transient):  # the next one follows
                self._wire.say(self._key, pack_digest(digest))
