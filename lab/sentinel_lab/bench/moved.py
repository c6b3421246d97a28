"""A burst that is moved from one node to another while it lasts: when the other granted room, and when it came.

Two nodes with the product's agents behind its balancer. New flows begin all the time and bring more than a node drains;
one node takes them all, the other drains. Then they change places. What the other node's queue may hold is read before
what has arrived, again and again: room that is seen beside no packet was granted before the first.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import urllib.request
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count, cycle, islice, takewhile
from typing import TYPE_CHECKING, Any, Final
from urllib.error import URLError

import click
import numpy as np

from sentinel_bpf.buffer.plumbing import queue_device
from sentinel_lab.failover import plan
from sentinel_lab.failover.load import BUFFER_BYTES, DATAGRAM, SO_RCVBUFFORCE
from sentinel_lab.failover.stage import staged, wait_until
from sentinel_lab.namespaces import go_first
from sentinel_lab.product import Eye
from sentinel_lab.topology import NODE_DEVICE, RECEIVER, SENDER

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sentinel_lab.failover.stage import Stage
    from sentinel_lab.history import Tick
    from sentinel_lab.namespaces import Namespace

NODES: Final = 2
NODE_BITS: Final = 16_000_000
TICK_S: Final = 0.01
"""A flow begins in each, and those that live send."""
ALIVE: Final = 5
DATAGRAMS: Final = 10
"""Of each flow a tick: 5.2 MB/s with headers, where a node drains two. All are new after a twentieth of a second."""
BEFORE_S, AFTER_S = 1.0, 1.5
LOOK_S: Final = 0.002
CLASS: Final = 1
FLOOR_BYTES: Final = 65_536
SETTINGS: Final = {
    "trafficClasses": [
        {
            "name": "gold",
            "match": [{"protocol": "UDP", "port": plan.STREAM_PORT, "endPort": plan.CALL_PORT - 1}],
            "maxDelayMillis": 5000,
            "floorBytes": FLOOR_BYTES,
        }
    ],
    "pool": {"minBytes": FLOOR_BYTES, "maxBytes": 8 << 20},
}
DOUBT_S: Final = 31.0
"""For so long after its start a balancer sends flows it meets by way of both nodes."""
REST_NS: Final = 1_000_000_000
CALM_S: Final = 120.0
CALM_BYTES: Final = 16 * FLOOR_BYTES
"""What a node has learned that a period may bring at once stays free for long."""
AGENTS: Final = {
    "shipped": "sentinel_agent",
    "shares_only": "sentinel_lab.deaf alarms",
    "deaf": "sentinel_lab.deaf everybody",
}
AGENT: Final = "http://127.0.0.1:9466/debug/state"
SPOKEN: Final = 20
"""Ticks after which the mesh has found a node again."""
ROUNDS, QUICK_ROUNDS = 8, 2
_ports = count(20_000)
"""None twice: the balancer and the nodes know a flow for longer than it lasts."""


@dataclass(frozen=True, slots=True)
class Round:
    """`lead_ms`: how long half at least of the room that the first packet met, and was not there in rest, had been
    granted; to the last look without a packet. 0: it met none."""

    lead_ms: float
    calm_bytes: int
    room_bytes: int
    """What its queue might hold in rest, and when the first packet came."""
    dropped: int
    arrived: int
    """At the node in the first second and a half."""


def moved(rounds: int) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """With agents as they ship, and with deaf ones; the nodes change places in each round, and their agents begin it
    anew, as one that met a burst before keeps room for another."""
    metrics: dict[str, float] = {}
    rows: list[dict[str, Any]] = [{"what": "load average, one minute, at the start", "value": os.getloadavg()[0]}]
    with ready_to_move() as stage:
        pairs = cycle([stage.nodes, stage.nodes[::-1]])
        for name, module in AGENTS.items():
            found = []
            for giving, taking in islice(pairs, rounds):
                listen_as(stage, module)
                found.append(one(stage, giving, taking))
            metrics |= {f"moved.{measure}_{name}": value for measure, value in figures(found).items()}
            rows += [{"where": "namespaces", "scenario": "moved", "policy": name} | _told(each) for each in found]
            click.echo(f"{time.strftime('%H:%M:%S')} {name}: {found}", err=True)
    rows.append({"what": "load average, one minute, at the end", "value": os.getloadavg()[0]})
    return metrics, rows


@contextmanager
def ready_to_move(seconds_of_doubt: float = DOUBT_S) -> Iterator[Stage]:
    """The second node drains."""
    with staged(NODES, rate_bits=NODE_BITS, settings=SETTINGS) as stage:
        stage.drain(stage.nodes[1])
        stage.await_state(stage.nodes[1], "draining")
        time.sleep(seconds_of_doubt)
        yield stage


def listen_as(stage: Stage, module: str) -> None:
    """Other agents take over from those that run."""
    for each in stage.agents.values():
        each.follow_as(module)
    wait_until(lambda: all(_ticks(stage, node) >= SPOKEN for node in stage.nodes), "the other agents tick")
    wait_until(lambda: sorted(stage.states().values()) == ["draining", "ready"], "the balancer hears them")


def _ticks(stage: Stage, node: str) -> int:
    """Of the agent that runs there now."""
    try:
        with stage.spaces[node].entered(), urllib.request.urlopen(AGENT, timeout=2.0) as answer:
            return int(json.load(answer).get("seq", 0))  # empty before its first
    except (URLError, TimeoutError, ConnectionError):
        return 0


def figures(found: list[Round]) -> dict[str, float]:
    leads = [each.lead_ms for each in found]
    return {
        "room_first_share": float(np.mean([each > 0 for each in leads])),
        "lead_ms_p50": float(np.median(leads)),
        "lead_ms_min": min(leads),
        "room_bytes": float(np.median([each.room_bytes for each in found])),
        "drop_share": sum(each.dropped for each in found) / sum(each.arrived for each in found),
    }


def one(stage: Stage, giving: str, taking: str) -> Round:
    with looking(stage, taking) as looks:
        wait_until(lambda: rests(looks), f"{taking} has rest", CALM_S)
        calm = looks[-1]
        with burst(stage.spaces[SENDER], stage.spaces[RECEIVER]):
            time.sleep(BEFORE_S)
            stage.drain(giving)
            wait_until(lambda: looks[-1].arrived_packets > calm.arrived_packets, f"the burst reaches {taking}")
            time.sleep(AFTER_S)
        return judged([each for each in looks if each.at_ns >= calm.at_ns])


def rests(looks: Sequence[Tick]) -> bool:
    """For a second nothing came, nothing waits, and most of the room is given back."""
    if not looks or looks[-1].at_ns - looks[0].at_ns < REST_NS:
        return False
    late = takewhile(lambda each: looks[-1].at_ns - each.at_ns < REST_NS, reversed(looks))
    still = len({each.arrived_packets for each in late}) == 1
    return still and looks[-1].backlog_bytes == 0 and looks[-1].limit_bytes <= CALM_BYTES


def judged(looks: Sequence[Tick]) -> Round:
    """From rest on. The limit of a look was read before its packets were counted."""
    calm, end = looks[0], looks[-1]
    first = next(index for index, each in enumerate(looks) if each.arrived_packets > calm.arrived_packets)
    before = looks[first - 1]
    half = (calm.limit_bytes + before.limit_bytes) / 2
    short = [each.at_ns for each in looks[:first] if each.limit_bytes <= half]
    lead_ns = before.at_ns - short[-1] if before.limit_bytes > calm.limit_bytes else 0
    return Round(
        lead_ms=lead_ns / 1e6,
        calm_bytes=calm.limit_bytes,
        room_bytes=before.limit_bytes,
        dropped=end.drops - calm.drops,
        arrived=end.arrived_packets - calm.arrived_packets,
    )


@contextmanager
def looking(stage: Stage, node: str) -> Iterator[list[Tick]]:
    """All looks at the node's queue until the end of the block."""
    looks: list[Tick] = []
    ended, failure = threading.Event(), Failure()

    def look() -> None:
        with failure.noted(), stage.spaces[node].entered():
            go_first()
            queue = socket.if_nametoindex(queue_device(socket.if_nametoindex(NODE_DEVICE)))
            eye = Eye(plan.node_name(node), queue, [CLASS])
            while not ended.wait(LOOK_S):
                looks.append(eye.look()[CLASS])

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield looks
    finally:
        ended.set()
        thread.join()
    failure.check()


@contextmanager
def burst(sender: Namespace, receiver: Namespace, address: str = plan.VIP) -> Iterator[None]:
    """New flows begin as long as the block lasts."""
    with receiver.entered():
        hearing = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        hearing.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
        hearing.bind((address, plan.STREAM_PORT))  # nobody reads: what does not fit is not what is counted
    ended, failure = threading.Event(), Failure()

    def send() -> None:
        with failure.noted(), sender.entered():
            go_first()
            _send(ended, address)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        hearing.close()
    failure.check()


def _send(ended: threading.Event, address: str) -> None:
    alive: deque[socket.socket] = deque()
    begin = time.monotonic()
    for tick in count():
        alive.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        alive[-1].bind(("", next(_ports)))
        alive[-1].connect((address, plan.STREAM_PORT))
        if len(alive) > ALIVE:
            alive.popleft().close()
        if ended.wait(max(0.0, begin + tick * TICK_S - time.monotonic())):
            break
        for each in alive:
            for _ in range(DATAGRAMS):
                each.send(DATAGRAM)
    for each in alive:
        each.close()


@dataclass(slots=True)
class Failure:
    """Of a thread, for the one that waits for it."""

    found: list[BaseException] = field(default_factory=list)

    @contextmanager
    def noted(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:  # noqa: BLE001 - raised by check
            self.found.append(error)

    def check(self) -> None:
        if self.found:
            raise self.found[0]


def _told(each: Round) -> dict[str, Any]:
    return {
        "lead_ms": each.lead_ms,
        "calm_bytes": each.calm_bytes,
        "room_bytes": each.room_bytes,
        "dropped_packets": each.dropped,
        "arrived_packets": each.arrived,
    }
