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
    from sentinel_mesh.roster import Roster
    from sentinel_mesh.shares import Shares

LEASE_MS: Final = 200
"""A silent peer is suspected after about this. Below 80 the engine drops healthy peers when the machine is busy."""

KEEP_ALIVES: Final = 4
RETRY_MS: Final = (100, 1000)
MESSAGE_MAX_BYTES: Final = 2 * SHARE_MAX_BYTES
"""Without it a stranger may send a gibibyte to be put together in memory."""

_ENDPOINT: Final = re.compile(r"tcp/(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):([0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a process stands in the mesh. Both ends of a pair may name each other; one link results."""

    cluster: str
    node: str
    incarnation: int
    listen: tuple[str, ...]
    peers: tuple[str, ...] = ()

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
        self._states, self._intents = (
            self._session.declare_publisher(key, congestion_control=zenoh.CongestionControl.DROP, express=True)
            for key in (own_state, keys.share(place.node))
        )

    def send(self, record: bytes) -> None:
        """Dropped where a reader is slow: the next state is worth more than this one."""
        self._put(self._states, record, "state")

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
        "connect/endpoints": place.peers,
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
