"""What neighbours' alarms are worth on real packets: agents as they ship against agents that are deaf to alarms.

Three nodes with the product's agents; datagrams go to each of them past the balancer, so that it announces nothing. A
burst comes to the first, and to each later one some seconds after the one before it: soon enough to have to do with it,
or so late that it has not. Agents begin each round anew. A first series of bursts is their lesson, since a neighbour of
whom nothing is known is believed by half only, which is not enough to act on. The second is what counts. It comes when
the queues are as small as they were: for a minute or two a node that met a burst keeps room for another by itself.

sender ──┬─ node1 ─┐
         ├─ node2 ─┤── receiver
         └─ node3 ─┘
"""

from __future__ import annotations

import re
import socket
import threading
import time
import urllib.request
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.error import URLError

import click
import numpy as np

from sentinel_bpf.buffer.plumbing import queue_device
from sentinel_lab.bench.moved import CALM_BYTES, CLASS, NODE_BITS, SETTINGS, Failure, burst
from sentinel_lab.failover import plan
from sentinel_lab.failover.stage import staged, wait_until
from sentinel_lab.namespaces import go_first
from sentinel_lab.product import Eye
from sentinel_lab.topology import NODE_DEVICE, RECEIVER, SENDER

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sentinel_lab.failover.stage import Stage
    from sentinel_lab.history import Tick

NODES: Final = 3
HEARING, DEAF = "shared", "alone"
AGENTS: Final = {DEAF: "sentinel_lab.deaf alarms", HEARING: "sentinel_agent"}
LAGS_S: Final = {"correlated": (1.0, 3.0), "unrelated": (11.0, 14.0)}
"""An alarm is over after ten seconds."""
BURST_S: Final = 1.5
SETTLED_S: Final = 1.0
"""After the end of a burst no datagram is on its way any more."""
REST_S: Final = 1.0
FORGETTING_S: Final = 130.0
"""From the lesson to what counts."""
LOOK_S: Final = 0.1
AGENT_METRICS: Final = "http://127.0.0.1:9465/metrics"
ALIVE: Final = re.compile(r'sentinel_mesh_members\{level="alive"\} (\S+)')


@dataclass(frozen=True, slots=True)
class Share:
    """Of one later node in one round."""

    node: str
    dropped: int
    arrived: int
    room_bytes: int
    """What its queue might hold when its burst began."""


def neighbourly(kind: str, rounds: int) -> Iterator[dict[str, Any]]:
    """A row for each later node, round and way of listening; both ways have the same lags, in turn."""
    random = np.random.default_rng(9)
    with staged(NODES, rate_bits=NODE_BITS, settings=SETTINGS) as stage:
        addresses = _routed(stage)
        for turn in range(rounds):
            lesson, exam = (
                dict(zip(stage.nodes, map(float, np.cumsum([0.0, *lags_s])), strict=True))
                for lags_s in random.uniform(*LAGS_S[kind], (2, NODES - 1))
            )
            for name in sorted(AGENTS, reverse=bool(turn % 2)):
                _begin_anew(stage, AGENTS[name])
                _round(stage, addresses, lesson)
                time.sleep(FORGETTING_S)
                _rest(stage)
                found = _round(stage, addresses, exam)
                click.echo(f"{time.strftime('%H:%M:%S')} {kind} {turn + 1}, {name}: {found}", err=True)
                yield from (_row(kind, name, turn, each) for each in found)


def figures(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Drops are shares of what arrived, in percent; `reduction_percent` is how much of those alone sharing saves."""
    metrics: dict[str, float] = {}
    for kind in LAGS_S:
        of = {name: [row for row in rows if (row["kind"], row["listening"]) == (kind, name)] for name in AGENTS}
        if not all(of.values()):
            continue
        drops = {name: _percent_dropped(each) for name, each in of.items()}
        metrics |= {f"neighbours.{kind}.drop_percent_{name}": value for name, value in drops.items()}
        metrics[f"neighbours.{kind}.bursts"] = float(len(of[HEARING]))
        metrics[f"neighbours.{kind}.harm_points"] = drops[HEARING] - drops[DEAF]
        if drops[DEAF]:
            metrics[f"neighbours.{kind}.reduction_percent"] = 100 * (1 - drops[HEARING] / drops[DEAF])
    return metrics


def _percent_dropped(rows: list[dict[str, Any]]) -> float:
    return 100.0 * float(sum(row["dropped"] for row in rows)) / float(sum(row["arrived"] for row in rows))


def _row(kind: str, name: str, turn: int, found: Share) -> dict[str, Any]:
    return {
        "what": "neighbours",
        "kind": kind,
        "listening": name,
        "round": turn + 1,
        "node": found.node,
        "dropped": found.dropped,
        "arrived": found.arrived,
        "room_bytes": found.room_bytes,
    }


def _routed(stage: Stage) -> Mapping[str, str]:
    """An address of the service for each node, to which that node alone is the way."""
    found = {node: f"10.77.0.{number}" for number, node in enumerate(stage.nodes, 1)}
    for node, address in found.items():
        stage.spaces[RECEIVER].ip("address", "add", f"{address}/32", "dev", "lo")
        stage.spaces[node].ip("route", "add", f"{address}/32", "via", plan.SERVICE_ADDRESS)
        stage.spaces[SENDER].ip("route", "add", f"{address}/32", "via", plan.address(node))
    return found


def _begin_anew(stage: Stage, module: str) -> None:
    """All agents are new, hear each other, and rest."""
    for each in stage.agents.values():
        each.follow_as(module)
    wait_until(lambda: all(_hears(stage, node) >= NODES for node in stage.nodes), "the nodes hear each other")
    _rest(stage)


def _rest(stage: Stage) -> None:
    """Until no queue may hold more than usual."""
    calm_s = time.monotonic()
    while time.monotonic() - calm_s < REST_S:
        if any(_seen(stage, node).limit_bytes > CALM_BYTES for node in stage.nodes):
            calm_s = time.monotonic()
        time.sleep(LOOK_S)


def _hears(stage: Stage, node: str) -> int:
    """How many others its agent hears: the other nodes and the balancer."""
    try:
        with stage.spaces[node].entered(), urllib.request.urlopen(AGENT_METRICS, timeout=2.0) as answer:
            counted = ALIVE.search(answer.read().decode())
    except (URLError, TimeoutError, ConnectionError):
        return 0
    return int(float(counted[1])) if counted else 0


def _seen(stage: Stage, node: str) -> Tick:
    with stage.spaces[node].entered():
        queue = socket.if_nametoindex(queue_device(socket.if_nametoindex(NODE_DEVICE)))
        return Eye(plan.node_name(node), queue, [CLASS]).look()[CLASS]


def _round(stage: Stage, addresses: Mapping[str, str], lags_s: Mapping[str, float]) -> list[Share]:
    failure, begin_s = Failure(), time.monotonic()
    found: dict[str, Share] = {}

    def suffer(node: str) -> None:
        with failure.noted():
            go_first()
            time.sleep(max(0.0, begin_s + lags_s[node] - time.monotonic()))
            before = _seen(stage, node)
            with burst(stage.spaces[SENDER], stage.spaces[RECEIVER], addresses[node]):
                time.sleep(BURST_S)
            time.sleep(SETTLED_S)
            after = _seen(stage, node)
            found[node] = Share(
                node, after.drops - before.drops, after.arrived_packets - before.arrived_packets, before.limit_bytes
            )

    threads = [threading.Thread(target=suffer, args=(node,), daemon=True) for node in stage.nodes]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    failure.check()
    return [found[node] for node in stage.nodes[1:]]
