"""The sending process of a fail-over: many flows in turn at one rate, until it is told to stop.

order → · ← "ready" · → "start" · → "stop" · ← {"sent": …}; what was sent when lies in a file then.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from itertools import cycle
from typing import Any

import numpy as np
import numpy.typing as npt

from sentinel_lab.namespaces import enter_for_good, go_first
from sentinel_lab.traffic.frames import Batch

BATCH = 64
NAP_S = 0.0004
PACKET_BYTES = 128
SEND_BUFFER_BYTES = 8 << 20
SENT = np.dtype([("stream", "u4"), ("sequence", "u8"), ("sent_ns", "u8")])


def main() -> None:
    order = json.loads(sys.stdin.readline())
    enter_for_good(order["namespace"])
    flows = cycle(enumerate([_connected(order, flow) for flow in range(order["flows"])]))
    gap_ns, batch = 1_000_000_000 // order["packets_per_s"], Batch(BATCH, PACKET_BYTES)
    go_first()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    begin_ns, told_to_stop, sent = time.monotonic_ns(), False, 0
    chunks: list[tuple[int, int, int, int]] = []
    while not told_to_stop:
        count = min(BATCH, (time.monotonic_ns() - begin_ns) // gap_ns - sent)
        if count > 0:
            flow, through = next(flows)
            chunk = _send(batch, flow, through, sent, count)
            chunks.append(chunk)
            sent += chunk[2]
        told_to_stop = bool(select.select([sys.stdin], [], [], 0 if count == BATCH else NAP_S)[0])
    np.save(order["output"], _spread(chunks))
    sys.stdout.write(json.dumps({"sent": sent}) + "\n")


def _send(batch: Batch, flow: int, through: socket.socket, first: int, count: int) -> tuple[int, int, int, int]:
    now_ns = time.monotonic_ns()
    stamps = batch.stamps[:count]
    stamps["stream"] = flow
    stamps["sequence"] = np.arange(first, first + count)
    stamps["due_ns"] = stamps["sent_ns"] = now_ns
    return flow, first, batch.send(through, count), now_ns


def _spread(chunks: list[tuple[int, int, int, int]]) -> npt.NDArray[Any]:
    """A record for each packet."""
    table = np.array(chunks, np.int64).reshape(-1, 4)
    found = np.zeros(int(table[:, 2].sum()), SENT)
    found["stream"] = np.repeat(table[:, 0], table[:, 2])
    found["sent_ns"] = np.repeat(table[:, 3], table[:, 2])
    found["sequence"] = np.arange(found.size)
    return found


def _connected(order: dict[str, Any], flow: int) -> socket.socket:
    """From a port that the order gives: one that an earlier flow had may still be known to the balancer."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    made.bind(("", order["first_port"] + flow))
    made.connect((order["address"], order["port"]))
    return made


if __name__ == "__main__":
    main()
