"""`sentinel bench buffer`: how fast a limit moves in tiers A and B, and what the detour through the ifb costs."""

from __future__ import annotations

import os
import socket
import time
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

import click
import numpy as np

from sentinel_api.errors import Unsupported
from sentinel_lab.bench import tier_a
from sentinel_lab.bench.output import tell
from sentinel_lab.dataplane import DataPlane, attached, queue_classes
from sentinel_lab.namespaces import require_root
from sentinel_lab.topology import NODE, NODE_DEVICE, RECEIVER, RECEIVER_ADDRESS, SENDER, SINGLE_BOTTLENECK, built
from sentinel_lab.traffic.frames import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CLASSES = 16
FAST = 10_000_000_000  # bytes a second: nothing waits, so that only the detour itself is timed
SLOW = 2_000_000
ROOM = 100_000_000
PORT, CLASS = 9001, 1
HOUR_NS = 3600 * 10**9
RESIZES = 400
ROUNDS, BURST, BATCH = 40, 40, 64
PINGS = 200
UNDER_LOAD_BATCHES = 100


@click.command()
@click.option("--quick", is_flag=True, help="A quarter of the rounds, and nothing of tier A.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def buffer(quick: bool, as_json: bool) -> None:
    """Time limits of the queue from the call to the kernel's confirmation, and the cost of queueing at all.

    Tier A is measured in the VM lane, as a ratio to tier B beside it; `--quick` leaves it out.

    \b
    Example:
      sudo sentinel bench buffer --json
    """
    require_root()
    share = 4 if quick else 1
    before = os.getloadavg()[0]
    metrics, rows = measured(RESIZES // share, ROUNDS // share, PINGS // share)
    rows.append({"what": "load average, one minute, before and after", "before": before, "after": os.getloadavg()[0]})
    left_out = "tier A is measured in the VM lane, which takes minutes; --quick leaves it out"
    if not quick:
        left_out = _add_tier_a(metrics)
    if left_out:
        rows.append({"what": "left out", "why": left_out})
        click.echo(f"left out: {left_out}", err=True)
    tell("buffer", metrics, rows, as_json=as_json)


def _add_tier_a(metrics: dict[str, float]) -> str:
    """Why not, where the lane cannot run."""
    try:
        metrics |= tier_a.figures()
    except Unsupported as missing:
        return str(missing)
    return ""


def measured(resizes: int, rounds: int, pings: int) -> tuple[dict[str, float], list[dict[str, float | str]]]:
    metrics: dict[str, float] = {}
    with _bench(FAST) as bench:
        for count in (1, CLASSES):
            with _undisturbed():
                spent = [_resize_us(bench.plane, count, turn) for turn in range(resizes)]
            name = "tier_b_resize" if count == 1 else f"tier_b_resize_{count}"
            metrics |= {f"{name}_p50_us": median(spent), f"{name}_p99_us": float(np.percentile(spent, 99))}
        through, past = bench.side_by_side(bench.packet_ns, rounds)
        metrics |= {"ifb_hop_ns_per_packet": through - past, "packets_per_s_past_queue": 1e9 / past}
        metrics["packets_per_s_through_queue"] = 1e9 / through
        slow, quick = bench.side_by_side(bench.trip_us, pings)
        metrics["ifb_hop_us"] = slow - quick
    with _bench(SLOW) as bench:
        metrics["tier_b_lost"] = float(bench.lost_while_resizing())
    rows: list[dict[str, float | str]] = [
        {"what": "nanoseconds a packet", "through_queue": through, "past_queue": past},
        {"what": "one way in microseconds, one packet at a time", "through_queue": slow, "past_queue": quick},
    ]
    return metrics, rows


@contextmanager
def _undisturbed() -> Iterator[None]:
    """At real-time priority: on a shared machine the 99th percentile is otherwise that of the neighbours."""
    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def _resize_us(plane: DataPlane, count: int, turn: int) -> float:
    limits = dict.fromkeys(range(count), ROOM + 1 + turn % 2)
    began = time.perf_counter_ns()
    plane.buffer.resize(limits)
    return (time.perf_counter_ns() - began) / 1000


@dataclass(slots=True)
class Bench:
    """Everything in one thread and process: the two sides of a comparison differ in the lease alone."""

    plane: DataPlane
    outgoing: socket.socket
    incoming: socket.socket
    batch: Batch

    def side_by_side(self, measure: Callable[[], float], rounds: int) -> tuple[float, float]:
        """Medians with and without the queue, taken in turns."""
        through: list[float] = []
        past: list[float] = []
        for _ in range(rounds):
            for lease_ns, kept in ((HOUR_NS, through), (0, past)):
                self.plane.renew(dict.fromkeys(range(CLASSES), ROOM), FAST, lease_ns)
                kept.append(measure())
        return median(through), median(past)

    def packet_ns(self) -> float:
        """Until the last packet of a burst has come out at the other end."""
        began, came = time.perf_counter_ns(), 0
        for _ in range(BURST):
            self.batch.send(self.outgoing, BATCH)
            came += self._collect()
        while came < BURST * BATCH:
            came += self._collect()
        return (time.perf_counter_ns() - began) / (BURST * BATCH)

    def trip_us(self) -> float:
        began = time.perf_counter_ns()
        self.outgoing.send(b"x")
        self.incoming.recv(64)
        return (time.perf_counter_ns() - began) / 1000

    def lost_while_resizing(self) -> int:
        """Packets that went missing, by the two ends' own counts, while the limit grew under load."""
        self.plane.renew(dict.fromkeys(range(CLASSES), ROOM), SLOW, HOUR_NS)
        came = 0
        for turn in range(UNDER_LOAD_BATCHES):
            self.batch.send(self.outgoing, BATCH)
            self.plane.buffer.resize({CLASS: ROOM + turn})
            came += self._collect()
        while any(each.backlog_packets for each in self.plane.buffer.read().values()):
            came += self._collect()
        time.sleep(0.1)
        return UNDER_LOAD_BATCHES * BATCH - came - self._collect()

    def _collect(self) -> int:
        came = 0
        while taken := self.batch.receive(self.incoming):
            came += taken
        return came


@contextmanager
def _bench(rate: int) -> Iterator[Bench]:
    with built(SINGLE_BOTTLENECK) as spaces:
        with spaces[SENDER].entered():
            outgoing = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with spaces[RECEIVER].entered():
            incoming = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with outgoing, incoming:
            incoming.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
            incoming.bind((RECEIVER_ADDRESS, PORT))
            outgoing.connect((RECEIVER_ADDRESS, PORT))
            with spaces[NODE].entered(), attached(NODE_DEVICE, rate, {PORT: CLASS}) as plane:
                shares = dict.fromkeys(range(CLASSES), 1 / CLASSES)
                plane.buffer.configure(queue_classes(dict.fromkeys(range(CLASSES), ROOM), shares, rate))
                yield Bench(plane, outgoing, incoming, Batch(BATCH, 64))
