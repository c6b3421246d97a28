"""The receiving process: notes every packet's stamp and arrival, and what its own sockets lost."""

from __future__ import annotations

import select
import socket
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sentinel_lab.namespaces import enter_for_good, entered, go_first
from sentinel_lab.traffic.frames import STAMP, Batch
from sentinel_lab.traffic.orders import Received, ReceiveOrder
from sentinel_lab.traffic.syns import counted

BATCH = 256
LARGEST_BYTES = 9_000
RECEIVE_BUFFER_BYTES = 64 << 20
SO_RCVBUFFORCE = 33

ARRIVAL = np.dtype([*((name, STAMP[name]) for name in ("stream", "sequence", "due_ns", "sent_ns")), ("got_ns", "u8")])


def main() -> None:
    order = ReceiveOrder.model_validate_json(sys.stdin.readline())
    enter_for_good(order.namespace)
    listening = _all_sockets(order)
    by_descriptor = {each.fileno(): each for each in listening}
    poller = select.poll()
    poller.register(sys.stdin, select.POLLIN | select.POLLHUP)
    for each in listening:
        poller.register(each, select.POLLIN)
    syns = dict.fromkeys(order.syn_ports, 0)
    flood = _listen_to_flood() if syns else None
    if flood:
        poller.register(flood, select.POLLIN)
        by_descriptor[flood.fileno()] = flood
    go_first()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    batch = Batch(BATCH, LARGEST_BYTES)
    kept: list[npt.NDArray[Any]] = []
    told_to_stop = False
    while not told_to_stop:
        for descriptor, _ in poller.poll():
            if descriptor not in by_descriptor:
                told_to_stop = True
                continue
            count = batch.receive(by_descriptor[descriptor])
            if flood and descriptor == flood.fileno():
                for port, found in counted(batch.block[:count], order.syn_ports).items():
                    syns[port] += found
                continue
            kept.append(arrivals_of(batch, count, time.monotonic_ns()))
    for each in listening:
        count = BATCH
        while count == BATCH:  # what came before the end and waits was not lost
            count = batch.receive(each)
            kept.append(arrivals_of(batch, count, time.monotonic_ns()))
    arrivals = np.concatenate(kept) if kept else np.zeros(0, dtype=ARRIVAL)
    np.save(order.output, arrivals)
    answer = Received(packets=arrivals.size, syns=syns, overflowed=_all_overflowed(order))
    sys.stdout.write(answer.model_dump_json() + "\n")


def _all_sockets(order: ReceiveOrder) -> list[socket.socket]:
    found = [listen(port) for port in order.ports]
    for name in order.beside:
        with entered(name):
            found += [listen(port) for port in order.ports]
    return found


def _all_overflowed(order: ReceiveOrder) -> int:
    lost = _overflowed(order.ports)
    for name in order.beside:
        with entered(name):
            lost += _overflowed(order.ports)
    return lost


def listen(port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listening.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES)
    listening.bind(("0.0.0.0", port))  # noqa: S104 - a namespace of our own
    return listening


def _listen_to_flood() -> socket.socket:
    """All that TCP gets, before it answers: nobody listens on these ports, and what it sends back finds no way."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES)
    return listening


def arrivals_of(batch: Batch, count: int, got_ns: int) -> npt.NDArray[Any]:
    found = np.empty(count, dtype=ARRIVAL)
    for name in ("stream", "sequence", "due_ns", "sent_ns"):
        found[name] = batch.stamps[name][:count]
    found["got_ns"] = got_ns
    return found


def _overflowed(ports: tuple[int, ...]) -> int:
    """The last column of these tables counts what a socket had no room for; a raw one's "port" is its protocol."""
    lost = 0
    for table, mine in (("udp", ports), ("raw", (socket.IPPROTO_TCP,))):
        for line in Path("/proc/thread-self/net", table).read_text().splitlines()[1:]:
            fields = line.split()
            if int(fields[1].rpartition(":")[2], 16) in mine:
                lost += int(fields[-1])
    return lost


if __name__ == "__main__":
    main()
