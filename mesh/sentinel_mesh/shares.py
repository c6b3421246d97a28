"""What balancers intend to send to whom, as this process heard it; one that fell silent intends nothing any more."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from sentinel_api.errors import Invalid
from sentinel_api.wire import SHARE_MAX_BYTES, UnknownVersion, unpack_share
from sentinel_mesh.keys import node_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sentinel_api.records import Share

FRESH_NS: Final = 500_000_000
BALANCERS_MAX: Final = 64


@dataclass(frozen=True, slots=True)
class _Heard:
    share: Share
    at_ns: int


class Shares:
    """Its methods may be called from any thread."""

    def __init__(self) -> None:
        self._heard: dict[str, _Heard] = {}
        self._refused = 0
        self._lock = threading.Lock()

    @property
    def refused(self) -> int:
        """Records that were not believed: malformed, too large, older than the last, or of one balancer too many."""
        return self._refused

    def told(self, key: str, size: int, read: Callable[[], bytes], now_ns: int) -> None:
        """Bytes are read only when there are not too many of them."""
        with self._lock:
            if not self._believed(key, size, read, now_ns):
                self._refused += 1

    def fresh(self, now_ns: int) -> Mapping[str, Share]:
        """By balancer."""
        with self._lock:
            self._heard = {name: each for name, each in self._heard.items() if now_ns - each.at_ns <= FRESH_NS}
            return MappingProxyType({name: each.share for name, each in self._heard.items()})

    def _believed(self, key: str, size: int, read: Callable[[], bytes], now_ns: int) -> bool:
        try:
            name = node_of(key)
            share = unpack_share(read()) if size <= SHARE_MAX_BYTES else None
        except Invalid:
            return False
        if share is None or isinstance(share, UnknownVersion):
            return False
        known = self._heard.get(name)
        if known is not None and (share.incarnation, share.seq) <= (known.share.incarnation, known.share.seq):
            return False
        if known is None and len(self._heard) >= BALANCERS_MAX:
            return False
        self._heard[name] = _Heard(share, now_ns)
        return True
