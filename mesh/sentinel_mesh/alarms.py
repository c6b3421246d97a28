"""Bursts that other nodes saw or expect, as this process heard of them: the newest of each node and class."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sentinel_api.errors import Invalid
from sentinel_api.wire import ALARM_MAX_BYTES, UnknownVersion, unpack_alarm
from sentinel_mesh.keys import node_of
from sentinel_mesh.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Callable

    from sentinel_api.records import Alarm

FRESH_NS: Final = 10_000_000_000
"""As far as a forecast looks ahead: what an older alarm foretold has come or not."""

ORIGINS_MAX: Final = 1024
ONSET_MAX_MS: Final = 60_000
"""An alarm for an onset further away than this, on either side, is a fault of its sender's clock or arithmetic."""


@dataclass(frozen=True, slots=True)
class HeardAlarm:
    """Its onset counts from `heard_ns`, by this node's clock."""

    alarm: Alarm
    heard_ns: int


class Alarms:
    """Its methods may be called from any thread."""

    def __init__(self, own: str, refuse: Callable[[Refusal], None]) -> None:
        self._own, self._refuse = own, refuse
        self._last: dict[str, tuple[int, int]] = {}
        self._heard: dict[tuple[str, int], HeardAlarm] = {}
        self._lock = threading.Lock()

    def told(self, key: str, size: int, read: Callable[[], bytes], now_ns: int) -> None:
        """Bytes are read only when there are not too many of them."""
        found = _understood(key, size, read)
        with self._lock:
            refusal = found if isinstance(found, Refusal) else self._believe(found, now_ns)
        if refusal is not None:
            self._refuse(refusal)

    def fresh(self, now_ns: int) -> tuple[HeardAlarm, ...]:
        """Those of the last seconds, the oldest first."""
        with self._lock:
            self._heard = {who: each for who, each in self._heard.items() if now_ns - each.heard_ns <= FRESH_NS}
            return tuple(sorted(self._heard.values(), key=lambda each: each.heard_ns))

    def _believe(self, alarm: Alarm, now_ns: int) -> Refusal | None:
        if alarm.origin == self._own:
            return Refusal.IMPOSTOR
        last = self._last.get(alarm.origin)
        if last is not None and (alarm.incarnation, alarm.seq) <= last:
            return Refusal.REPLAYED
        if last is None and len(self._last) >= ORIGINS_MAX:
            return Refusal.CROWDED
        self._last[alarm.origin] = alarm.incarnation, alarm.seq
        self._heard[alarm.origin, alarm.traffic_class] = HeardAlarm(alarm, now_ns)
        return None


def _understood(key: str, size: int, read: Callable[[], bytes]) -> Alarm | Refusal:
    """Under whose key it came must be who it says that it is from."""
    try:
        name = node_of(key)
    except Invalid:
        return Refusal.STRANGE_KEY
    if size > ALARM_MAX_BYTES:
        return Refusal.OVERSIZE
    try:
        alarm = unpack_alarm(read())
    except Invalid:
        return Refusal.GARBAGE
    if isinstance(alarm, UnknownVersion):
        return Refusal.UNKNOWN_VERSION
    if abs(alarm.onset_in_ms) > ONSET_MAX_MS:
        return Refusal.GARBAGE
    return alarm if alarm.origin == name else Refusal.IMPOSTOR
