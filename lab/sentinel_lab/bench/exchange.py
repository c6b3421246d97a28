"""What exchanging a device's root queue costs under traffic, with the detour of tier A and as the kernel does it alone.

`sudo .venv/bin/python -m sentinel_lab.bench.exchange --json`
"""

from __future__ import annotations

import os
import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import click
import numpy as np

from sentinel_bpf.buffer import detour
from sentinel_bpf.buffer.plumbing import Plumbing
from sentinel_bpf.buffer.port import Toll
from sentinel_bpf.buffer.standing import wait_out
from sentinel_lab.bench.output import tell
from sentinel_lab.dataplane import OBJECT
from sentinel_lab.namespaces import require_root
from sentinel_lab.topology import NODE, RECEIVER, RECEIVER_ADDRESS, SINGLE_BOTTLENECK, built

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EXIT_DEVICE: Final = "back"  # of the node, towards the receiver
PORT: Final = 9001
MAJOR, KIND = 0x5E17, "pfifo_fast"  # one that is made without options, as ours is
EXCHANGES: Final = 40
RATE_BYTES_PER_S: Final = 125_000_000
BATCH, PAUSE_S = 5, 0.001
CALM_S: Final = 0.05  # before and after each exchange, so that what it lost is nobody else's
LATE_S: Final = 2.0  # what has not come by then does not come


@dataclass(slots=True)
class Traffic:
    """Numbered packets, as fast as a thread among others sends them; they come back to this process."""

    outgoing: socket.socket
    incoming: socket.socket
    sent: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    def go(self) -> None:
        while not self.over.is_set():
            for _ in range(BATCH):
                self.outgoing.sendto(self.sent.to_bytes(8, "big"), (RECEIVER_ADDRESS, PORT))
                self.sent += 1
            time.sleep(PAUSE_S)

    def arrived(self) -> list[int]:
        """In the order in which they came."""
        found = []
        try:
            while True:
                found.append(int.from_bytes(self.incoming.recv(64, socket.MSG_DONTWAIT), "big"))
        except BlockingIOError:
            return found


@dataclass(slots=True)
class Side:
    """Exchanges of one way."""

    spent_ms: list[float] = field(default_factory=list)
    spans: list[range] = field(default_factory=list)  # numbers of the packets that were sent around each

    def told(self, name: str, arrived: list[int]) -> dict[str, float]:
        came = [[each for each in arrived if each in span] for span in self.spans]
        sent = sum(map(len, self.spans))
        return {
            f"{name}_p50_ms": float(np.median(self.spent_ms)),
            f"{name}_most_ms": max(self.spent_ms),
            f"{name}_sent": float(sent),
            f"{name}_lost": float(sent - sum(map(len, came))),
            f"{name}_overtaken": float(sum(after < before for span in came for before, after in pairwise(span))),
        }


@click.command()
@click.option("--exchanges", default=EXCHANGES, show_default=True, help="Of each kind, in turns.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def exchange(exchanges: int, as_json: bool) -> None:
    """Exchange the root queue of a device that packets leave by: led aside meanwhile, and not."""
    require_root()
    before = os.getloadavg()[0]
    metrics = measured(exchanges) | {"exchanges": float(exchanges)}
    load = {"what": "load average, one minute, before and after", "before": before, "after": os.getloadavg()[0]}
    tell("exchange", metrics, [load], as_json=as_json)


def measured(exchanges: int) -> dict[str, float]:
    aside, plain = Side(), Side()
    with _traffic() as traffic, Plumbing(MAJOR) as plumbing:
        index = socket.if_nametoindex(EXIT_DEVICE)
        plumbing.add_root(index, KIND)

        def around() -> None:
            toll = Toll()
            with detour.around(OBJECT.parent, index, RATE_BYTES_PER_S, toll):
                without()

        def without() -> None:
            wait_out(lambda: plumbing.waiting(index))
            plumbing.remove_root(index)
            plumbing.add_root(index, KIND)

        for _ in range(exchanges):
            for side, way in ((aside, around), (plain, without)):
                _time(side, way, traffic)
        time.sleep(LATE_S)
        arrived = traffic.arrived()
    return aside.told("exchange_aside", arrived) | plain.told("exchange_plain", arrived)


def _time(side: Side, way: Callable[[], None], traffic: Traffic) -> None:
    time.sleep(CALM_S)
    first = traffic.sent
    time.sleep(CALM_S)
    began = time.perf_counter()
    way()
    side.spent_ms.append((time.perf_counter() - began) * 1000)
    time.sleep(CALM_S)
    side.spans.append(range(first, traffic.sent))


@contextmanager
def _traffic() -> Iterator[Traffic]:
    with built(SINGLE_BOTTLENECK) as spaces:
        with spaces[RECEIVER].entered():
            incoming = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with spaces[NODE].entered(), incoming, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as outgoing:
            incoming.setsockopt(socket.SOL_SOCKET, 33, 256 << 20)  # SO_RCVBUFFORCE
            incoming.bind((RECEIVER_ADDRESS, PORT))
            made = Traffic(outgoing, incoming)
            sending = threading.Thread(target=made.go)
            sending.start()
            try:
                yield made
            finally:
                made.over.set()
                sending.join()


if __name__ == "__main__":
    exchange()
