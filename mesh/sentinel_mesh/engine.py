"""Eclipse Zenoh, and nothing else in the tree imports it: one session, what it hears and what it says."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Final, Protocol

import zenoh

from sentinel_api.errors import Invalid, Transient
from sentinel_mesh.engine_config import connected, settings
from sentinel_mesh.keys import Keys
from sentinel_mesh.place import Place
from sentinel_mesh.priority import preferred

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sentinel_mesh.watch import Heard

__all__ = ["Ears", "Place", "Router", "Session"]

BEATS_MAX: Final = 8192
"""Wait to be read, the oldest give way: more than a thousand nodes send while a reader is held up for 100 ms."""


SPEAKERS_MAX: Final = 4096
"""Keys that strangers invent must not fill the memory."""


class Ear(Protocol):
    """Who wants to know what came: its key, its size, how to read it, and when it came."""

    def told(self, key: str, size: int, read: Callable[[], bytes], now_ns: int) -> None: ...


class Ears(Protocol):
    """Where each kind of record goes."""

    @property
    def states(self) -> Ear: ...
    @property
    def shares(self) -> Ear: ...
    @property
    def alarms(self) -> Ear: ...
    @property
    def digests(self) -> Ear: ...
    def vouched(self, key: str, *, alive: bool, now_ns: int) -> None: ...
    def joined(self, name: str | None) -> None:
        """A connection was made; the name in the other's certificate, where there is one."""


class Session:
    """It stays open while peers come and go. Until `hearing` it passes nothing on: while certificates are renewed two
    sessions are open, and everything would be told twice. Its threads carry what says that this process lives."""

    @preferred()
    def __init__(
        self, place: Place, ears: Ears, *, generation: int = 0, listening: bool = True, hearing: bool = True
    ) -> None:
        self.hearing = hearing
        self._spoke_ns: dict[str, int] = {}
        keys = Keys(place.cluster, place.zone, place.wide)
        self._ears = ears
        token = keys.token(place.node, place.incarnation, generation)
        self._session: Any = _opened(place, listening=listening)
        remote = zenoh.Locality.REMOTE
        self._parts: list[Any] = [
            self._session.info.declare_link_events_listener(self._on_link, history=True),
            *(
                self._session.declare_subscriber(key, self._teller(ear), allowed_origin=remote)
                for key, ear in (
                    (keys.every_share, ears.shares),
                    (keys.every_alarm, ears.alarms),
                    *(((keys.every_digest, ears.digests),) if place.zone and place.attentive else ()),
                    *(() if place.alarms_only else ((keys.every_state, ears.states),)),
                )
            ),
            self._session.liveliness().declare_token(token),
        ]
        if not place.alarms_only:
            self._hear_tokens(keys.every_token)
        for zone, node in place.beyond:
            there = Keys(place.cluster, zone)
            tell = self._teller(ears.states)
            self._parts.append(self._session.declare_subscriber(there.state(node), tell, allowed_origin=remote))
            self._hear_tokens(there.tokens(node))
        self._heard: Any = None
        if place.attentive:
            ring: Any = zenoh.handlers.RingChannel(BEATS_MAX)
            self._heard = self._session.declare_subscriber(keys.every_beat, ring, allowed_origin=remote)
        self._publishers = {
            kind: self._session.declare_publisher(
                key, congestion_control=zenoh.CongestionControl.DROP, express=True
            )
            for kind, key in (
                ("state", keys.state(place.node)),
                ("beat", keys.beat(place.node)),
                ("share", keys.share(place.node)),
                ("alarm", keys.alarm(place.node)),
            )
        }  # fmt: skip

    def _hear_tokens(self, key: str) -> None:
        self._parts.append(self._session.liveliness().declare_subscriber(key, self._on_token, history=True))

    def send(self, kind: str, record: bytes) -> None:
        """Dropped where a reader is slow: the next one is worth more than this one."""
        try:
            self._publishers[kind].put(record)
        except zenoh.ZError as error:
            raise Transient(f"the mesh took no {kind} ({error})") from error

    def beats(self) -> Iterator[Heard]:
        """All that came since the last time, without waiting."""
        while self._heard is not None and (sample := self._heard.try_recv()) is not None:
            if self.hearing:
                yield str(sample.key_expr), len(sample.payload), sample.payload.to_bytes

    def links(self) -> int:
        """Peers connected now."""
        return len(self._session.info.links())

    def speakers(self, since_ns: int) -> set[str]:
        """Keys under which states came, whether they were passed on or not.

        Whoever's state came has told us before what he wants to hear: what we say from now on reaches him.
        """
        return {key for key, at_ns in self._spoke_ns.copy().items() if at_ns >= since_ns}

    def close(self) -> None:
        """The others see the token go at once."""
        self._session.close()

    def _teller(self, ear: Ear) -> Callable[[Any], None]:
        def tell(sample: Any) -> None:
            key, payload, now_ns = str(sample.key_expr), sample.payload, time.monotonic_ns()
            if ear is self._ears.states and len(self._spoke_ns) < SPEAKERS_MAX:
                self._spoke_ns[key] = now_ns
            if self.hearing:
                ear.told(key, len(payload), payload.to_bytes, now_ns)

        return tell

    def _on_token(self, sample: Any) -> None:
        """Even while it does not hear: nobody repeats the news."""
        alive = sample.kind == zenoh.SampleKind.PUT
        self._ears.vouched(str(sample.key_expr), alive=alive, now_ns=time.monotonic_ns())

    def _on_link(self, event: Any) -> None:
        if event.kind == zenoh.SampleKind.PUT:
            self._ears.joined(event.link.auth_identifier)


class Router:
    """Passes everything on between its clients and other routers, and hears only what it is asked to."""

    @preferred()
    def __init__(self, place: Place) -> None:
        self._session: Any = _configured(place, connected(place, "router", place.listen, place.dialled))
        self._parts: list[Any] = []

    @preferred()
    def hear(self, key: str, ear: Ear) -> None:
        def tell(sample: Any) -> None:
            payload = sample.payload
            ear.told(str(sample.key_expr), len(payload), payload.to_bytes, time.monotonic_ns())

        self._parts.append(self._session.declare_subscriber(key, tell, allowed_origin=zenoh.Locality.REMOTE))

    def say(self, key: str, record: bytes) -> None:
        """Dropped where a reader is slow."""
        try:
            self._session.put(key, record, congestion_control=zenoh.CongestionControl.DROP)
        except zenoh.ZError as error:
            raise Transient(f"the mesh took no record for {key} ({error})") from error

    def close(self) -> None:
        self._session.close()


def _opened(place: Place, *, listening: bool) -> Any:
    return _configured(place, settings(place, listening=listening))


def _configured(place: Place, chosen: dict[str, object]) -> Any:
    # A handshake that fails is told nowhere but in the engine's log, which is silent unless RUST_LOG is set.
    zenoh.try_init_log_from_env()  # type: ignore[no-untyped-call]
    if place.credentials is not None:
        place.credentials.digest()  # raises with the file's name; the engine would only say that it cannot listen
    config = zenoh.Config()
    for key, value in chosen.items():
        config.insert_json5(key, json.dumps(value))
    try:
        return zenoh.open(config)
    except zenoh.ZError as error:
        if place.routers:
            raise Transient(f"no router of the mesh answers: {', '.join(place.routers)}") from error
        where = ", ".join(place.listen)
        what = "give an address and a free port of this node"
        if place.credentials is not None:
            what += ", and a certificate and key that belong together"
        raise Invalid(f"the mesh cannot listen on {where}: {what}") from error
