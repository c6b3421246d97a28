"""One node's place in the mesh: it tells its own state and sees the others."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Generic, TypeVar

from sentinel_api.wire import pack_share
from sentinel_mesh.beats import Beats
from sentinel_mesh.engine import Place, Session
from sentinel_mesh.roster import Roster, View
from sentinel_mesh.shares import Shares
from sentinel_mesh.voice import Voice
from sentinel_mesh.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from sentinel_api.records import NodeState, Share
    from sentinel_mesh.membership import Probe
    from sentinel_mesh.watch import Heard

T = TypeVar("T")


class Mesh(Generic[T]):
    """`record` makes the state to tell from what was offered and the number of the record."""

    def __init__(self, place: Place, record: Callable[[T, int], NodeState]) -> None:
        self._roster = Roster(place.node)
        self._shares = Shares()
        self._session = Session(place, self._roster, self._shares)
        self._voice = Voice(record, self._session.send)
        self._beats = Beats(place.incarnation, self._session.send_beat)
        self._watch = Watch(self._session.beats, self._felt) if place.attentive else None
        for thread in (self._voice, self._beats, self._watch):
            if thread is not None:
                thread.start()

    @property
    def sent(self) -> int:
        return self._voice.sent

    @property
    def unsent(self) -> int:
        return self._voice.unsent

    def offer(self, value: T) -> None:
        """To be told soon, unless a newer one comes first; never waits."""
        self._voice.offer(value)

    def view(self, probes: Mapping[str, Probe] | None = None) -> View:
        return self._roster.view(time.monotonic_ns(), probes)

    def share(self, intended: Share) -> None:
        """A balancer's own; raises Transient where the engine does not take it."""
        self._session.send_share(pack_share(intended))

    def shares(self) -> Mapping[str, Share]:
        """What each balancer intends, as far as it is fresh."""
        return self._shares.fresh(time.monotonic_ns())

    def close(self) -> None:
        for thread in (self._watch, self._beats, self._voice):
            if thread is not None:
                thread.stop()
        self._session.close()

    def _felt(self, heard: Iterable[Heard], awake_ns: int) -> None:
        self._roster.beaten(heard, time.monotonic_ns(), awake_ns)


def incarnation() -> int:
    """Grows with each start of a process, unless the clock was set back: the engine's tokens tell that case."""
    return int(time.time()) & 0xFFFF_FFFF
