"""Several members, or a router, in one process: what a member costs is measured from outside and divided.

Started by `mesh_scale` with one line of JSON on standard input; prints a line once all are up, and on the end of its
input what its members heard. `slower` makes all of them speak so much less often: more of them fit a small machine.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from functools import partial
from typing import Any

from sentinel_api.records import NodeState, Role, Tier
from sentinel_core.sample import PERIOD_NS
from sentinel_lab.namespaces import enter_for_good
from sentinel_mesh.beats import PERIOD_MS
from sentinel_mesh.engine import Router
from sentinel_mesh.mesh import Mesh, incarnation
from sentinel_mesh.place import Place
from sentinel_mesh.summary import Summary


def main() -> None:
    task: dict[str, Any] = json.loads(sys.stdin.readline())
    enter_for_good(task["namespace"])
    places = [_place(each) for each in task["places"]]
    slower = task.get("slower", 1)
    if task["router"]:
        routers = [Router(each) for each in places]
        summaries = [Summary(each, router) for each, router in zip(places, routers, strict=True) if each.zone]
        _serve(routers, slower * PERIOD_NS)
        for each in summaries:
            each.stop()
    else:
        beat_ms = slower * PERIOD_MS
        members = [Mesh(each, partial(_state, each.incarnation), beat_ms=beat_ms) for each in places]
        _serve(members, slower * PERIOD_NS)


def _serve(members: list[Any], period_ns: int) -> None:
    print(json.dumps({"up": True}), flush=True)  # noqa: T201  this is how it talks to whoever started it
    ended = threading.Event()
    threading.Thread(target=_until_told, args=(ended,), daemon=True).start()
    meshes = [each for each in members if isinstance(each, Mesh)]
    began_s, due_ns = time.monotonic(), time.monotonic_ns()
    while not ended.wait(max(due_ns - time.monotonic_ns(), 0) / 1e9):
        for each in meshes:
            each.offer(True)
        due_ns += period_ns
    heard = [sum(one.state is not None for one in each.view().members.values()) for each in meshes]
    rates = [each.sent / (time.monotonic() - began_s) for each in meshes]
    zones = [len(each.digests()) for each in meshes]
    print(json.dumps({"heard": heard, "zones": zones, "states_per_s": rates}), flush=True)  # noqa: T201
    for each in members:
        each.close()


def _until_told(ended: threading.Event) -> None:
    sys.stdin.read()
    ended.set()


def _place(fields: dict[str, Any]) -> Place:
    return Place(
        cluster="scale",
        node=fields["node"],
        incarnation=incarnation(),
        listen=tuple(fields["listen"]),
        peers=tuple(fields.get("peers", ())),
        attentive=fields.get("attentive", False),
        alarms_only=fields.get("alarms_only", False),
        routers=tuple(fields.get("routers", ())),
        zone=fields.get("zone", ""),
    )


def _state(born: int, _told: bool, seq: int) -> NodeState:
    return NodeState(incarnation=born, seq=seq, tier=Tier.B, role=Role.BUFFER)


if __name__ == "__main__":
    main()
