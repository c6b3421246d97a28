"""What a member costs as the mesh grows: bytes and CPU a node, in a full mesh of peers, as clients of a router, and in
zones of one size, each with a router of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sentinel_api.errors import Transient
from sentinel_lab.namespaces import Namespace

if TYPE_CHECKING:
    from collections.abc import Iterator

PORT: Final = 7447
BALANCERS: Final = 2
A_PROCESS: Final = 10
"""Members that share a process: what Python itself needs is then paid once for ten, and left out of the figure."""

CROWDED: Final = 200
CROWD: Final = 50
"""So many share one where there are more members than that: Python alone would fill the memory."""

SETTLING_S: Final = 3.0
PEERS, ROUTED, ZONED = "peers", "router", "zones"
SIZES: Final = {PEERS: (3, 10, 30), ROUTED: (10, 30, 100), ZONED: (10, 20, 40)}
QUICK_SIZES: Final = {PEERS: (3,), ROUTED: (10,)}
ZONE: Final = 10
"""Members of a zone, one of them a balancer."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Bytes are the mean over all nodes, both directions with all headers of loopback."""

    topology: str
    nodes: int
    node_bytes_per_s: float
    agent_cpu_percent: float
    balancer_cpu_percent: float
    router_cpu_percent: float
    heard_by_balancers: float
    """Of the other members; below 1 the figures are not those of a whole mesh."""
    states_per_s: float
    """Of each member; below what was asked for the machine had no time for so many, and the figures are too small."""
    slower: int = 1
    """So much less often than ten times a second; what depends on it is given as it was, not extrapolated."""

    @property
    def whole(self) -> bool:
        return self.heard_by_balancers > 0.99 and self.states_per_s > 9.0 / self.slower

    def row(self) -> dict[str, Any]:
        return {"what": f"{self.topology}, {self.nodes} nodes"} | {
            name: getattr(self, name) for name in self.__slots__ if name not in ("topology", "nodes")
        }


def costs(seconds: float, *, quick: bool) -> list[Cost]:
    sizes = QUICK_SIZES if quick else SIZES
    return [cost(topology, nodes, seconds) for topology, each in sizes.items() for nodes in each]


def slopes(found: list[Cost]) -> dict[str, float]:
    """How a node's cost grows with each node more, where at least two sizes were measured whole."""
    metrics: dict[str, float] = {}
    for topology in (PEERS, ROUTED, ZONED):
        whole = [each for each in found if each.topology == topology and each.whole]
        for each in whole:
            metrics[f"{topology}.bytes_per_s_{each.nodes}"] = each.node_bytes_per_s
            metrics[f"{topology}.cpu_percent_{each.nodes}"] = each.agent_cpu_percent
            metrics[f"{topology}.balancer_cpu_percent_{each.nodes}"] = each.balancer_cpu_percent
        if len(whole) > 1:
            nodes = [each.nodes for each in whole]
            for what in ("node_bytes_per_s", "agent_cpu_percent", "balancer_cpu_percent"):
                steep = np.polyfit(nodes, [getattr(each, what) for each in whole], 1)[0]
                metrics[f"{topology}.{what}_a_node_more"] = float(steep)
    return metrics


def cost(topology: str, nodes: int, seconds: float, zone: int = ZONE, slower: int = 1) -> Cost:
    agents, balancers = _places(topology, nodes, zone)
    with ExitStack() as ends:
        space = ends.enter_context(_space())

        def started(places: list[dict[str, Any]], *, router: bool = False) -> subprocess.Popen[str]:
            return ends.enter_context(_started(space, {"places": places, "router": router, "slower": slower}))

        routers = [started([each], router=True) for each in _routers(topology, nodes, zone)]
        together = CROWD if nodes > CROWDED else A_PROCESS
        groups = [agents[at : at + together] for at in range(0, len(agents), together)]
        crowd = [started(each) for each in groups]
        watchers = [started([each]) for each in balancers]
        time.sleep(max(SETTLING_S, nodes / CROWD))
        everybody = [*routers, *crowd, *watchers]
        began, bytes_before = time.monotonic(), _bytes(space)
        cpu_before = [_cpu_s(each.pid) for each in everybody]
        time.sleep(seconds)
        elapsed, carried = time.monotonic() - began, _bytes(space) - bytes_before
        used = [100 * (_cpu_s(each.pid) - before) / elapsed for each, before in zip(everybody, cpu_before, strict=True)]
        words = [_ended(each) for each in (*watchers, *crowd)]
    parts = np.split(np.array(used), [len(routers), len(routers) + len(crowd)])
    audible = (zone if topology == ZONED else nodes) - 1
    return Cost(
        topology=topology,
        nodes=nodes,
        # A packet between peers crosses the links of two nodes, one to or from a router that of one.
        node_bytes_per_s=(2 if topology == PEERS else 1) * carried / elapsed / nodes,
        agent_cpu_percent=float(parts[1].sum()) / len(agents),
        balancer_cpu_percent=float(parts[2].mean()),
        router_cpu_percent=float(parts[0].mean()) if routers else 0.0,
        heard_by_balancers=float(np.mean([each["heard"][0] / audible for each in words[: len(balancers)]])),
        states_per_s=float(np.mean([rate for each in words for rate in each["states_per_s"]])),
        slower=slower,
    )


def _places(topology: str, nodes: int, zone: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Agents and balancers."""
    if topology == ZONED:
        return _zoned(nodes, zone)
    ends = [f"tcp/127.0.{number >> 8}.{number & 255}:{PORT}" for number in range(1, nodes + 1)]
    places = []
    for number, end in enumerate(ends):
        way = {"listen": [], "routers": [_router_at(0)]} if topology == ROUTED else {"listen": [end], "peers": ends}
        ears = {"attentive": number < BALANCERS, "alarms_only": number >= BALANCERS}
        places.append({"node": f"n{number}"} | way | ears)
    return places[BALANCERS:], places[:BALANCERS]


def _zoned(nodes: int, zone: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The first of each zone balances."""
    places = [
        {"node": f"n{number}", "listen": [], "routers": [_router_at(number // zone)], "zone": f"z{number // zone}"}
        | {"attentive": number % zone == 0, "alarms_only": number % zone != 0}
        for number in range(nodes)
    ]
    return [each for each in places if each["alarms_only"]], [each for each in places if each["attentive"]]


def _routers(topology: str, nodes: int, zone: int) -> list[dict[str, Any]]:
    if topology == PEERS:
        return []
    if topology == ROUTED:
        return [{"node": "router", "listen": [_router_at(0)]}]
    ends = [_router_at(number) for number in range(-(-nodes // zone))]
    return [{"node": f"r{at}", "listen": [end], "peers": ends, "zone": f"z{at}"} for at, end in enumerate(ends)]


def _router_at(number: int) -> str:
    return f"tcp/127.1.0.{number + 1}:{PORT}"


@contextmanager
def _space() -> Iterator[Namespace]:
    space = Namespace("scale", os.getpid())
    space.create()
    try:
        yield space
    finally:
        space.remove()


@contextmanager
def _started(space: Namespace, task: dict[str, Any]) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "sentinel_lab.bench.mesh_crowd"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(json.dumps(task | {"namespace": space.name}) + "\n")
        process.stdin.flush()
        if not process.stdout.readline():
            raise Transient("a member of the mesh did not start: try again on a quieter machine")
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def _ended(process: subprocess.Popen[str]) -> dict[str, Any]:
    """Its last words."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    words: dict[str, Any] = json.loads(process.stdout.readline())
    return words


def _bytes(space: Namespace) -> int:
    shown = json.loads(space.ip("-json", "-statistics", "link", "show", "lo"))
    return int(shown[0]["stats64"]["tx"]["bytes"])


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
