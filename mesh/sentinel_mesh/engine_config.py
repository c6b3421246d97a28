"""What the engine is told of a place, as its own settings: connections, certificates, and who may say what."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sentinel_api.v1alpha1.meshzones import ZONE_PREFIX
from sentinel_api.wire import SHARE_MAX_BYTES
from sentinel_mesh.keys import Keys

if TYPE_CHECKING:
    from sentinel_mesh.credentials import Credentials
    from sentinel_mesh.place import Place

LEASE_MS: Final = 1000
"""A silent peer's connection is given up after this. Suspicion does not wait for it: beats and states tell sooner. A
short lease gives up healthy peers on a busy machine, and then everything they say meanwhile is lost."""

KEEP_ALIVES: Final = 4
RETRY_MS: Final = (100, 1000)
MESSAGE_MAX_BYTES: Final = 2 * SHARE_MAX_BYTES
"""Without it a stranger may send a gibibyte to be put together in memory."""

SESSIONS_MAX: Final = 4096
"""The engine's own bound is a thousand, and a router of a thousand nodes serves the balancers too."""

CLIENT: Final = {"connect/timeout_ms": 0, "transport/unicast/open_timeout": 2000}
"""Each router is tried once and the next one after it, by us again and again; else the engine waits for the first for
ever, and whoever opens the session with it."""

HEAR: Final = ("declare_subscriber", "declare_liveliness_subscriber", "liveliness_query", "reply")
SAY: Final = ("put", "delete", "liveliness_token")


def settings(place: Place, *, listening: bool = True) -> dict[str, object]:
    """Of one session. One that does not listen dials everybody, since nobody can dial it."""
    if place.routers:
        return connected(place, "client", (), place.routers) | CLIENT
    return connected(place, "peer", place.listen if listening else (), place.dialled if listening else place.others)


def connected(place: Place, mode: str, listen: tuple[str, ...], dialled: tuple[str, ...]) -> dict[str, object]:
    """A router's, too."""
    first_ms, last_ms = RETRY_MS
    chosen: dict[str, object] = {
        "mode": mode,
        "listen/endpoints": listen,
        "connect/endpoints": dialled,
        "connect/timeout_ms": -1,
        "connect/exit_on_failure": False,
        "connect/retry": {"period_init_ms": first_ms, "period_max_ms": last_ms, "period_increase_factor": 2},
        "open/return_conditions/connect_scouted": False,
        "scouting/multicast/enabled": False,
        "scouting/gossip/enabled": False,
        "transport/link/tx/lease": LEASE_MS,
        "transport/link/tx/keep_alive": KEEP_ALIVES,
        "transport/link/rx/max_message_size": MESSAGE_MAX_BYTES,
        "transport/unicast/max_sessions": SESSIONS_MAX,
        # Each session would hold a segment of it, which nobody uses; the 352nd on a machine cannot be opened.
        "transport/shared_memory/enabled": False,
    }
    if place.credentials is not None:
        chosen["transport/link/tls"] = _tls(place.credentials)
    if place.members is not None:
        chosen["access_control"] = access(place)
    return chosen


def access(place: Place) -> dict[str, Any]:
    """Whoever is named may hear everything and speak under its own name, in the zone and in the cluster; everything
    else is refused by the engine, before it reaches anybody. A router of another zone passes on what that one's
    members say, and has checked it."""
    members = place.members or ()
    spaces = [Keys(place.cluster).space, *([Keys(place.cluster).zones] if place.zone else ())]
    everything = [f"{space}/**" for space in spaces]
    return {
        "enabled": True,
        "default_permission": "deny",
        "rules": [
            _rule("hear", ["ingress", "egress"], HEAR, everything),
            _rule("say", ["egress"], SAY, everything),
            *(_rule(f"own {name}", ["ingress"], SAY, _own(place, name)) for name in members),
        ],
        "subjects": [{"id": name, "cert_common_names": [name]} for name in members],
        "policies": [{"rules": ["hear", "say", f"own {name}"], "subjects": [name]} for name in members],
    }


def _own(place: Place, name: str) -> list[str]:
    """Only a zone's name opens a whole zone: who listens to all of them would believe a node that spoke for one."""
    spaces = dict.fromkeys(Keys(place.cluster, zone).space for zone in (place.zone, ""))
    whole = [Keys(place.cluster, name).space] if place.zone and name.startswith(ZONE_PREFIX) else []
    return [*(f"{space}/{name}/**" for space in spaces), *(f"{space}/**" for space in whole)]


def _rule(name: str, flows: list[str], messages: tuple[str, ...], keys: list[str]) -> dict[str, Any]:
    return {"id": name, "permission": "allow", "flows": flows, "messages": list(messages), "key_exprs": keys}


def _tls(credentials: Credentials) -> dict[str, object]:
    """A node's certificate says who it is, not where: addresses move. A connection outlives its certificate's end,
    since whoever renews too late should not take the mesh down with it; a new connection does not."""
    ca, certificate, key = map(str, (credentials.ca, credentials.certificate, credentials.key))
    return {
        "root_ca_certificate": ca,
        "listen_certificate": certificate,
        "listen_private_key": key,
        "connect_certificate": certificate,
        "connect_private_key": key,
        "enable_mtls": True,
        "verify_name_on_connect": False,
        "close_link_on_expiration": False,
    }
