"""The newest record of each speaker, as long as it is fresh; what is not believed is counted."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from sentinel_api.errors import Invalid
from sentinel_api.wire import UnknownVersion
from sentinel_mesh.keys import node_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class Numbered(Protocol):
    @property
    def incarnation(self) -> int: ...
    @property
    def seq(self) -> int: ...


T = TypeVar("T", bound=Numbered)


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """How such a record is read, how long it counts, and of how many speakers at most."""

    unpack: Callable[[bytes], T | UnknownVersion]
    most_bytes: int
    fresh_ns: int
    speakers: int


@dataclass(frozen=True, slots=True)
class _Heard(Generic[T]):
    record: T
    at_ns: int


class Latest(Generic[T]):
    """Its methods may be called from any thread."""

    def __init__(self, kind: Kind[T]) -> None:
        self._kind = kind
        self._heard: dict[str, _Heard[T]] = {}
        self._refused = 0
        self._lock = threading.Lock()

    @property
    def refused(self) -> int:
        """Records that were not believed: malformed, too large, older than the last, or of one speaker too many."""
        return self._refused

    def told(self, key: str, size: int, read: Callable[[], bytes], now_ns: int) -> None:
        """Bytes are read only when there are not too many of them."""
        with self._lock:
            if not self._believed(key, size, read, now_ns):
                self._refused += 1

    def fresh(self, now_ns: int) -> Mapping[str, T]:
        """By speaker."""
        with self._lock:
            fresh_ns = self._kind.fresh_ns
            self._heard = {name: each for name, each in self._heard.items() if now_ns - each.at_ns <= fresh_ns}
            return MappingProxyType({name: each.record for name, each in self._heard.items()})

    def _believed(self, key: str, size: int, read: Callable[[], bytes], now_ns: int) -> bool:
        try:
            name = node_of(key)
            found = self._kind.unpack(read()) if size <= self._kind.most_bytes else None
        except Invalid:
            return False
        if found is None or isinstance(found, UnknownVersion):
            return False
        known = self._heard.get(name)
        if known is not None and (found.incarnation, found.seq) <= (known.record.incarnation, known.record.seq):
            return False
        if known is None and len(self._heard) >= self._kind.speakers:
            return False
        self._heard[name] = _Heard(found, now_ns)
        return True
