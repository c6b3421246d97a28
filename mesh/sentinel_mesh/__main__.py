"""`python -m sentinel_mesh`: a router, to which the nodes of a large cluster connect instead of to each other.

    SENTINEL_NODE_NAME     its name                                              (router)
    SENTINEL_MESH_CLUSTER  name of the mesh                                      (default)
    SENTINEL_MESH_LISTEN   endpoints for its clients, separated by commas        (tcp/[::]:7447)
    SENTINEL_MESH_PEERS    other routers; each dials those before it in order
    SENTINEL_MESH_ZONE     whose nodes its clients are: what they say stays here, and other zones hear its sum
    SENTINEL_MESH_ZONES_FILE, _ENDPOINT
                           instead of peers: the zones as the operator writes them, and which router of them it is
    SENTINEL_MESH_CA, _CERT, _KEY, _ENROL, _MEMBERS, _MEMBERS_FILE
                           as on the nodes; members are let speak here, each under its own name

Nodes give its endpoints in SENTINEL_MESH_ROUTERS. It ends with SIGTERM; they find it again when it comes back. Files
are read again when they change.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

from sentinel_api.errors import Invalid, SentinelError
from sentinel_mesh.credentials import credentials
from sentinel_mesh.enrolment import enrolled
from sentinel_mesh.mesh import incarnation
from sentinel_mesh.place import Place, file_of, listed
from sentinel_mesh.station import Post, Station

if TYPE_CHECKING:
    from collections.abc import Mapping

EVERYWHERE = "tcp/[::]:7447"


def post(env: Mapping[str, str]) -> Post:
    """Raises Invalid for what is malformed."""
    zones, endpoint = file_of(env, "ZONES"), env.get("SENTINEL_MESH_ENDPOINT", "")
    if (zones is None) != (not endpoint):
        raise Invalid("SENTINEL_MESH_ZONES_FILE and SENTINEL_MESH_ENDPOINT go together: set both, or none of them")
    place = Place(
        cluster=env.get("SENTINEL_MESH_CLUSTER", "default"),
        node=env.get("SENTINEL_NODE_NAME", "router"),
        incarnation=incarnation(),
        listen=listed(env, "SENTINEL_MESH_LISTEN") or (EVERYWHERE,),
        peers=listed(env, "SENTINEL_MESH_PEERS"),
        credentials=credentials(env),
        members=listed(env, "SENTINEL_MESH_MEMBERS") or None,
        roll=file_of(env, "MEMBERS"),
        zone=env.get("SENTINEL_MESH_ZONE", ""),
    )
    return Post(place, zones, endpoint)


def _say(words: str) -> None:
    sys.stderr.write(f"sentinel_mesh: {words}\n")
    sys.stderr.flush()


def main() -> int:
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    try:
        told = post(os.environ)
        station = Station(told, _say)
        # A router speaks for its zone, and for no node: that is the name in its certificate.
        enrolment = enrolled(told.place.credentials, told.place.zone or told.place.node, os.environ)
        try:
            station.run(ended)
        finally:
            station.close()
            if enrolment is not None:
                enrolment.stop()
    except SentinelError as error:
        _say(str(error))
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
