"""One member of the mesh as a process of its own: it tells a state ten times a second and prints whom it believes.

Started by `mesh_lab`. Lines of JSON on standard output: {"up": true} once it is there, {"at_ns", "node", "level"} at
each change, and at its end {"sent", "heard", "refused", "gaps"}. Lines on standard input are what a probe says:
{"n2": "good"}.
It ends with its standard input, so that nothing outlives whoever started it.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import click

from sentinel_api.records import NodeState, Role, Tier
from sentinel_core.sample import PERIOD_NS
from sentinel_lab.namespaces import enter_for_good
from sentinel_mesh.keys import node_of
from sentinel_mesh.membership import Level, Probe
from sentinel_mesh.mesh import Mesh, incarnation
from sentinel_mesh.place import Place
from sentinel_mesh.roster import Roster

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sentinel_mesh.roster import View
    from sentinel_mesh.watch import Heard

LOOK_S = 0.002
CLUSTER = "lab"


class Noting(Roster):
    """Keeps the gaps between beats, by the clock on the wall and by the watcher's, which stands still with him."""

    def __init__(self, own: str) -> None:
        super().__init__(own)
        self.gaps: dict[str, list[tuple[int, int]]] = {}
        self._last: dict[str, tuple[int, int]] = {}

    def beaten(self, heard: Iterable[Heard], now_ns: int, awake_ns: int) -> None:
        came = list(heard)
        for key, _, _ in came:
            if key in self._last:
                wall_ns, watcher_ns = self._last[key]
                self.gaps.setdefault(node_of(key), []).append((now_ns - wall_ns, awake_ns - watcher_ns))
            self._last[key] = now_ns, awake_ns
        super().beaten(came, now_ns, awake_ns)


class Member:
    def __init__(self, place: Place) -> None:
        self._incarnation = place.incarnation
        self.ended = threading.Event()
        self._probes: dict[str, Probe] = {}
        self._levels: dict[str, Level] = {}
        self._sent: list[tuple[int, int]] = []
        self._heard: dict[tuple[str, int], int] = {}
        self._roster = Noting(place.node)
        self._mesh = Mesh(place, self._record, self._roster)

    def run(self) -> None:
        _say(up=True)
        due_ns = time.monotonic_ns()
        while not self.ended.wait(LOOK_S):
            now_ns = time.monotonic_ns()
            if now_ns >= due_ns:
                self._mesh.offer(now_ns)
                due_ns += PERIOD_NS * (1 + (now_ns - due_ns) // PERIOD_NS)
            self._look(self._mesh.view(self._probes))
        self._mesh.close()
        refused = {reason.value: count for reason, count in self._mesh.view().refused.items()}
        heard = [(*who, at_ns) for who, at_ns in self._heard.items()]
        _say(sent=self._sent, heard=heard, refused=refused, gaps=self._roster.gaps)

    def listen(self) -> None:
        for line in sys.stdin:
            self._probes = {node: Probe(said) for node, said in json.loads(line).items()}
        self.ended.set()

    def _record(self, _offered_ns: int, seq: int) -> NodeState:
        self._sent.append((seq, time.monotonic_ns()))
        return NodeState(incarnation=self._incarnation, seq=seq, tier=Tier.B, role=Role.BUFFER)

    def _look(self, view: View) -> None:
        for name, member in view.members.items():
            if member.state is not None and member.heard_ns is not None:
                self._heard[name, member.state.seq] = member.heard_ns
            if self._levels.get(name) is not member.level:
                self._levels[name] = member.level
                _say(at_ns=view.at_ns, node=name, level=member.level.value)


@click.command()
@click.option("--namespace", required=True)
@click.option("--node", required=True)
@click.option("--listen", required=True)
@click.option("--peers", required=True)
def main(namespace: str, node: str, listen: str, peers: str) -> None:
    enter_for_good(namespace)
    member = Member(Place(CLUSTER, node, incarnation(), (listen,), tuple(peers.split(",")), attentive=True))
    threading.Thread(target=member.listen, daemon=True).start()
    member.run()


def _say(**line: Any) -> None:
    print(json.dumps(line), flush=True)  # noqa: T201  this is how it talks to whoever started it


if __name__ == "__main__":
    main()
