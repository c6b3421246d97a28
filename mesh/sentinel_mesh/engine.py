"""Eclipse Zenoh, and nothing else in the tree imports it: peers with explicit endpoints, states and tokens."""

from __future__ import annotations

import json
import re
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import zenoh

from sentinel_api.errors import Invalid, Transient
from sentinel_api.wire import SHARE_MAX_BYTES
from sentinel_mesh.keys import Keys

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sentinel_mesh.roster import Roster
    from sentinel_mesh.shares import Shares
    from sentinel_mesh.watch import Heard

LEASE_MS: Final = 1000
"""A silent peer's connection is given up after this. Suspicion does not wait for it: beats and states tell sooner. A
short lease gives up healthy peers on a busy machine, and then everything they say meanwhile is lost."""

BEATS_MAX: Final = 8192
"""Wait to be read, the oldest give way: more than a thousand nodes send while a reader is held up for 100 ms."""

KEEP_ALIVES: Final = 4
RETRY_MS: Final = (100, 1000)
MESSAGE_MAX_BYTES: Final = 2 * SHARE_MAX_BYTES
"""Without it a stranger may send a gibibyte to be put together in memory."""

_ENDPOINT: Final = re.compile(r"tcp/(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):([0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a process stands in the mesh.

    Give every node the same list of `peers`, itself among them: then one end of each pair dials the other. Where both
    dial (each list leaves its own node out) one connection results as well, but Zenoh up to 1.10 at times leaves such
    a pair half deaf after one end was stopped for longer than the lease (eclipse-zenoh/zenoh#2806).

    `attentive` processes listen for beats, ten times as many as states: balancers, who must notice a death at once.
    """

    cluster: str
    node: str
    incarnation: int
    listen: tuple[str, ...]
    peers: tuple[str, ...] = ()
    attentive: bool = False

    @property
    def dialled(self) -> tuple[str, ...]:
        """Of a list that names this node too, those before it."""
        own = [each for each in self.peers if each in self.listen]
        return tuple(each for each in self.peers if not own or each < min(own))

    def __post_init__(self) -> None:
        for endpoint in (*self.listen, *self.peers):
            match = _ENDPOINT.fullmatch(endpoint)
            if not match or not 0 < int(match[2]) < 65_536:
                raise Invalid(f"{endpoint!r} is no endpoint of the mesh: write tcp/ADDRESS:PORT")


class Session:
    """What arrives goes to the roster at once; it stays open while peers come and go."""

    def __init__(self, place: Place, roster: Roster, shares: Shares) -> None:
        keys = Keys(place.cluster)
        self._roster, self._shares = roster, shares
        own_state, own_token = keys.state(place.node), keys.token(place.node, place.incarnation)
        try:
            self._session: Any = zenoh.open(_config(place))
        except zenoh.ZError as error:
            where = ", ".join(place.listen)
            raise Invalid(f"the mesh cannot listen on {where}: give an address and a free port of this node") from error
        self._parts: tuple[Any, ...] = (
            self._session.liveliness().declare_subscriber(keys.every_token, self._on_token, history=True),
            self._session.declare_subscriber(
                keys.every_state, self._on_state, allowed_origin=zenoh.Locality.REMOTE
            ),
            self._session.declare_subscriber(
                keys.every_share, self._on_share, allowed_origin=zenoh.Locality.REMOTE
            ),
            self._session.liveliness().declare_token(own_token),
        )  # fmt: skip
        self._heard_beats = (
            self._session.declare_subscriber(
                keys.every_beat, zenoh.handlers.RingChannel(BEATS_MAX), allowed_origin=zenoh.Locality.REMOTE
            )
            if place.attentive
            else None
        )
        self._states, self._beats, self._intents = (
            self._session.declare_publisher(key, congestion_control=zenoh.CongestionControl.DROP, express=True)
            for key in (own_state, keys.beat(place.node), keys.share(place.node))
        )

    def send(self, record: bytes) -> None:
        """Dropped where a reader is slow: the next state is worth more than this one."""
        self._put(self._states, record, "state")

    def send_beat(self, record: bytes) -> None:
        self._put(self._beats, record, "beat")

    def beats(self) -> Iterator[Heard]:
        """All that came since the last time, without waiting."""
        while self._heard_beats is not None and (sample := self._heard_beats.try_recv()) is not None:
            yield str(sample.key_expr), len(sample.payload), sample.payload.to_bytes

    def send_share(self, record: bytes) -> None:
        self._put(self._intents, record, "share")

    def close(self) -> None:
        """The others see the token go at once."""
        self._session.close()

    def _put(self, publisher: Any, record: bytes, what: str) -> None:
        try:
            publisher.put(record)
        except zenoh.ZError as error:
            raise Transient(f"the mesh took no {what} ({error})") from error

    def _on_share(self, sample: Any) -> None:
        payload = sample.payload
        self._shares.told(str(sample.key_expr), len(payload), payload.to_bytes, time.monotonic_ns())

    def _on_state(self, sample: Any) -> None:
        payload = sample.payload
        self._roster.told(str(sample.key_expr), len(payload), payload.to_bytes, time.monotonic_ns())

    def _on_token(self, sample: Any) -> None:
        alive = sample.kind == zenoh.SampleKind.PUT
        self._roster.vouched(str(sample.key_expr), alive=alive, now_ns=time.monotonic_ns())


def _config(place: Place) -> Any:
    first_ms, last_ms = RETRY_MS
    chosen: dict[str, object] = {
        "mode": "peer",
        "listen/endpoints": place.listen,
        "connect/endpoints": place.dialled,
        "connect/timeout_ms": -1,
        "connect/exit_on_failure": False,
        "connect/retry": {"period_init_ms": first_ms, "period_max_ms": last_ms, "period_increase_factor": 2},
        "open/return_conditions/connect_scouted": False,
        "scouting/multicast/enabled": False,
        "scouting/gossip/enabled": False,
        "transport/link/tx/lease": LEASE_MS,
        "transport/link/tx/keep_alive": KEEP_ALIVES,
        "transport/link/rx/max_message_size": MESSAGE_MAX_BYTES,
    }
    config = zenoh.Config()
    for key, value in chosen.items():
        config.insert_json5(key, json.dumps(value))
    return config
