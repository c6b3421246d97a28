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

from sentinel_lab.namespaces import enter_for_good, go_first
from sentinel_lab.traffic.frames import STAMP, Batch
from sentinel_lab.traffic.orders import Received, ReceiveOrder

BATCH = 256
LARGEST_BYTES = 9_000
RECEIVE_BUFFER_BYTES = 64 << 20
SO_RCVBUFFORCE = 33

ARRIVAL = np.dtype([*((name, STAMP[name]) for name in ("stream", "sequence", "due_ns", "sent_ns")), ("got_ns", "u8")])


def main() -> None:
    order = ReceiveOrder.model_validate_json(sys.stdin.readline())
    enter_for_good(order.namespace)
    listening = [_listen(port) for port in order.ports]
    poller = select.poll()
    poller.register(sys.stdin, select.POLLIN | select.POLLHUP)
    for each in listening:
        poller.register(each, select.POLLIN)
    go_first()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    batch = Batch(BATCH, LARGEST_BYTES)
    kept: list[npt.NDArray[Any]] = []
    by_descriptor = {each.fileno(): each for each in listening}
    told_to_stop = False
    while not told_to_stop:
        for descriptor, _ in poller.poll():
            if descriptor not in by_descriptor:
                told_to_stop = True
                continue
            count = batch.receive(by_descriptor[descriptor])
            kept.append(_arrivals(batch, count, time.monotonic_ns()))
    arrivals = np.concatenate(kept) if kept else np.zeros(0, dtype=ARRIVAL)
    np.save(order.output, arrivals)
    answer = Received(packets=arrivals.size, overflowed=_overflowed(order.ports))
    sys.stdout.write(answer.model_dump_json() + "\n")


def _listen(port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listening.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES)
    listening.bind(("0.0.0.0", port))  # noqa: S104 - a namespace of our own
    return listening


def _arrivals(batch: Batch, count: int, got_ns: int) -> npt.NDArray[Any]:
    found = np.empty(count, dtype=ARRIVAL)
    for name in ("stream", "sequence", "due_ns", "sent_ns"):
        found[name] = batch.stamps[name][:count]
    found["got_ns"] = got_ns
    return found


def _overflowed(ports: tuple[int, ...]) -> int:
    """The last column of /proc/net/udp counts what a socket had no room for."""
    lost = 0
    for line in Path("/proc/thread-self/net/udp").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[1].rpartition(":")[2], 16) in ports:
            lost += int(fields[-1])
    return lost


if __name__ == "__main__":
    main()
