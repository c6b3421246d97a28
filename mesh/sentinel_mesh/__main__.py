"""`python -m sentinel_mesh`: a router, to which the nodes of a large cluster connect instead of to each other.

    SENTINEL_NODE_NAME     its name                                              (router)
    SENTINEL_MESH_CLUSTER  name of the mesh                                      (default)
    SENTINEL_MESH_LISTEN   endpoints for its clients, separated by commas        (tcp/[::]:7447)
    SENTINEL_MESH_PEERS    other routers; each dials those before it in order
    SENTINEL_MESH_ZONE     whose nodes its clients are: what they say stays here, and other zones hear its sum
    SENTINEL_MESH_CA, _CERT, _KEY, _MEMBERS, _MEMBERS_FILE
                           as on the nodes; members are let speak here, each under its own name

Nodes give its endpoints in SENTINEL_MESH_ROUTERS. It ends with SIGTERM; they find it again when it comes back.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

from sentinel_api.errors import SentinelError
from sentinel_mesh.credentials import credentials
from sentinel_mesh.engine import Router
from sentinel_mesh.mesh import incarnation
from sentinel_mesh.place import Place, listed, roll_of
from sentinel_mesh.summary import Summary

if TYPE_CHECKING:
    from collections.abc import Mapping

EVERYWHERE = "tcp/[::]:7447"


def place(env: Mapping[str, str]) -> Place:
    return Place(
        cluster=env.get("SENTINEL_MESH_CLUSTER", "default"),
        node=env.get("SENTINEL_NODE_NAME", "router"),
        incarnation=incarnation(),
        listen=listed(env, "SENTINEL_MESH_LISTEN") or (EVERYWHERE,),
        peers=listed(env, "SENTINEL_MESH_PEERS"),
        credentials=credentials(env),
        members=listed(env, "SENTINEL_MESH_MEMBERS") or None,
        roll=roll_of(env),
        zone=env.get("SENTINEL_MESH_ZONE", ""),
    ).called()


def main() -> int:
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    try:
        chosen = place(os.environ)
        router = Router(chosen)
        summary = Summary(chosen, router) if chosen.zone else None
    except SentinelError as error:
        sys.stderr.write(f"sentinel_mesh: {error}\n")
        return 2
    sys.stderr.write("sentinel_mesh: passes on\n")
    ended.wait()
    if summary is not None:
        summary.stop()
    router.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
