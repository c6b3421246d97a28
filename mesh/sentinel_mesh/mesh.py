"""One node's place in the mesh: it tells its own state and sees the others."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from sentinel_api.records import Alarm
from sentinel_api.wire import pack_alarm, pack_share
from sentinel_mesh.alarms import Alarms
from sentinel_mesh.beats import PERIOD_MS, Beats
from sentinel_mesh.connection import Connection, Renewal, may_change
from sentinel_mesh.digests import Digests
from sentinel_mesh.inbox import Inbox
from sentinel_mesh.refusal import Refusal
from sentinel_mesh.roster import Roster, View
from sentinel_mesh.shares import Shares
from sentinel_mesh.voice import Voice
from sentinel_mesh.watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from sentinel_api.records import Digest, NodeState, Share
    from sentinel_mesh.alarms import HeardAlarm
    from sentinel_mesh.membership import Probe
    from sentinel_mesh.place import Place
    from sentinel_mesh.watch import Heard

T = TypeVar("T")

RENEWAL_S: Final = 10.0
"""How often it is looked whether the certificate was renewed, or nodes came behind a name."""

HOPS: Final = 1
"""Neighbours are connected directly; an alarm need not go further than a router."""


@dataclass(frozen=True, slots=True)
class Burst:
    """What a node tells its neighbours when one of its classes bursts, or is about to."""

    traffic_class: int
    magnitude_bytes: int
    confidence: float = 1.0
    onset_in_ms: int = 0
    """Negative when it has already begun."""


class Mesh(Generic[T]):
    """`record` makes the state to tell from what was offered and the number of the record."""

    def __init__(
        self,
        place: Place,
        record: Callable[[T, int], NodeState],
        roster: Roster | None = None,
        renewal_s: float = RENEWAL_S,
        beat_ms: int = PERIOD_MS,
    ) -> None:
        place = place.called()
        self._ears = _Ears(place, roster or Roster(place.node))
        self._connection = Connection(place, self._ears)
        send = self._connection.send
        self._voice = Voice(record, partial(send, "state"))
        let_in = self._ears.let_in
        self._renewal = Renewal(self._connection, place, renewal_s, let_in) if may_change(place) else None
        watch = Watch(self._connection.beats, self._felt, Inbox(place.ports).stuck) if place.attentive else None
        beats = Beats(place.incarnation, partial(send, "beat"), beat_ms)
        self._threads = [each for each in (watch, beats, self._voice, self._renewal) if each is not None]
        self._alarms_sent = 0
        for thread in self._threads:
            thread.start()

    @property
    def sent(self) -> int:
        return self._voice.sent

    @property
    def unsent(self) -> int:
        return self._voice.unsent

    @property
    def renewed(self) -> int:
        """How often a new certificate, or a new list of members, took the place of the old one."""
        return self._renewal.done if self._renewal else 0

    @property
    def trouble(self) -> str:
        """Why a new certificate is not in use; empty when there is none, or it is."""
        return self._renewal.trouble if self._renewal else ""

    def offer(self, value: T) -> None:
        """To be told soon, unless a newer one comes first; never waits."""
        self._voice.offer(value)

    def view(self, probes: Mapping[str, Probe] | None = None) -> View:
        return self._ears.states.view(time.monotonic_ns(), probes)

    def silent(self) -> frozenset[str]:
        """Who is not heard at this instant; cheaper than a view, for whoever must know at once."""
        return self._ears.states.silent(time.monotonic_ns())

    def share(self, intended: Share) -> None:
        """A balancer's own; raises Transient where the engine does not take it. In a zone that listens to itself it
        tells only those there: of a thousand nodes it would be four megabits a second to each of them."""
        place = self._connection.place
        if place.zone and not place.wide:
            known = self._ears.states.names()
            here = {node: amounts for node, amounts in intended.intended.items() if node in known}
            intended = replace(intended, intended=here)
        self._connection.send("share", pack_share(intended))

    def shares(self) -> Mapping[str, Share]:
        """What each balancer intends, as far as it is fresh."""
        return self._ears.shares.fresh(time.monotonic_ns())

    def digests(self) -> Mapping[str, Digest]:
        """The sums of each zone's nodes, as far as they are fresh; nothing unless this process is attentive."""
        return self._ears.digests.fresh(time.monotonic_ns())

    def zones(self) -> tuple[str, Mapping[str, str]]:
        """The own zone, and that of each node; nothing where nodes of all zones are heard, or there is one only."""
        place = self._connection.place
        if place.chart is None or place.wide:
            return "", {}
        return place.zone, place.chart.zone_of

    def alarm(self, burst: Burst) -> None:
        """Tells the neighbours of a burst; raises Transient where the engine does not take it. For one thread."""
        self._alarms_sent += 1
        place = self._connection.place
        told = Alarm(
            origin=place.node,
            traffic_class=burst.traffic_class,
            onset_in_ms=burst.onset_in_ms,
            magnitude_bytes=burst.magnitude_bytes,
            confidence=burst.confidence,
            hop_limit=HOPS,
            incarnation=place.incarnation,
            seq=self._alarms_sent,
        )
        self._connection.send("alarm", pack_alarm(told))

    def alarms(self) -> tuple[HeardAlarm, ...]:
        """What neighbours told of bursts in the last seconds."""
        return self._ears.alarms.fresh(time.monotonic_ns())

    def admit(self, members: Iterable[str]) -> None:
        """From now on only these are let speak, each under its own name; takes some seconds, and no state is lost."""
        if self._renewal is not None:
            self._renewal.admit(tuple(sorted(members)))

    def close(self) -> None:
        for thread in self._threads:
            thread.stop()
        self._connection.close()

    def _felt(self, heard: Iterable[Heard], awake_ns: int) -> None:
        self._ears.states.beaten(heard, time.monotonic_ns(), awake_ns)


class _Ears:
    """Where each kind of record goes; strangers are counted with the rest of what was not believed."""

    def __init__(self, place: Place, roster: Roster) -> None:
        self.states = roster
        self.shares = Shares()
        self.digests = Digests()
        self.alarms = Alarms(place.node, roster.refuse)
        self.vouched = roster.vouched
        self._members = place.members

    def let_in(self, members: tuple[str, ...] | None) -> None:
        """Who is no stranger from now on."""
        self._members = members

    def joined(self, name: str | None) -> None:
        if self._members is not None and name not in self._members:
            self.states.refuse(Refusal.STRANGER)


def incarnation() -> int:
    """Grows with each start of a process, unless the clock was set back: the engine's tokens tell that case."""
    return int(time.time()) & 0xFFFF_FFFF
