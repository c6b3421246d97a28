"""The sending process: open loop, so a slow receiver or a full queue never slows it down."""

from __future__ import annotations

import socket
import sys
import time
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sentinel_lab.namespaces import enter_for_good, go_first
from sentinel_lab.traffic.frames import Datagrams
from sentinel_lab.traffic.orders import SendOrder, Stream, StreamSent
from sentinel_lab.traffic.patterns import schedule
from sentinel_lab.traffic.syns import Syns, outlet

if TYPE_CHECKING:
    from collections.abc import Sequence

BATCH = 64
NAP_NS = 400_000  # a few packets of a burst at once: spinning would take the CPU from the node under test
SEND_BUFFER_BYTES = 8 << 20


class Source:
    """One stream's schedule, socket and place in it."""

    def __init__(self, order: SendOrder, index: int, stream: Stream) -> None:
        """Due times count from zero until `start` is told."""
        plan = schedule(stream.pattern, order.seconds, stream.seed, stream.scale, stream.begin_s)
        self.port = stream.port
        self.bursts = plan.bursts
        self.due_ns: npt.NDArray[np.uint64] = (plan.times_s * 1e9).astype(np.uint64)
        self.sent = 0
        self._start_ns, self._took_ns = 0, 0
        self._lags: list[npt.NDArray[Any]] = []
        self._kind = stream.kind
        if stream.kind == "syn":
            self._packets: Syns | Datagrams = Syns(BATCH, order.address, stream.port, stream.seed)
            self._sockets = [outlet(order.address)]
        else:
            self._packets = Datagrams(BATCH, stream.packet_bytes, index)
            self._sockets = [_connected(order.address, stream.port) for _ in range(stream.flows)]
        self._flows = cycle(self._sockets)

    def close(self) -> None:
        for each in self._sockets:
            each.close()

    def start(self, at_ns: int) -> None:
        self.due_ns += np.uint64(at_ns)
        self._start_ns = at_ns

    def send_due(self, now_ns: int) -> None:
        """At most one batch, so that a stream that is behind does not hold up the others."""
        ready = int(np.searchsorted(self.due_ns, np.uint64(now_ns), side="right"))
        count = min(BATCH, ready - self.sent)
        if count <= 0:
            return
        due = self.due_ns[self.sent : self.sent + count]
        stamped = self._packets.fill(self.sent, due)
        taken = self._packets.batch.send(next(self._flows), count)
        self._lags.append(np.uint64(stamped) - due[:taken])
        self.sent += taken
        self._took_ns = stamped - self._start_ns

    def next_due_ns(self) -> int | None:
        return int(self.due_ns[self.sent]) if self.sent < self.due_ns.size else None

    def result(self) -> StreamSent:
        lags = np.concatenate(self._lags) / 1000 if self._lags else np.zeros(1)
        p50, p99 = np.percentile(lags, [50, 99]).tolist()
        return StreamSent(
            port=self.port,
            kind=self._kind,
            sent=self.sent,
            due=self.due_ns.size,
            took_s=self._took_ns / 1e9,
            lag_us_p50=p50,
            lag_us_p99=p99,
            bursts=self.bursts,
        )


def _connected(address: str, port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    made.connect((address, port))
    return made


def main() -> None:
    order = SendOrder.model_validate_json(sys.stdin.readline())
    enter_for_good(order.namespace)
    go_first()
    sources = [Source(order, index, stream) for index, stream in enumerate(order.streams)]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    send(sources, int(sys.stdin.readline()))
    sys.stdout.write("[" + ",".join(source.result().model_dump_json() for source in sources) + "]\n")


def send(sources: Sequence[Source], start_ns: int) -> None:
    """Everything when it is due; ends with the last packet."""
    for source in sources:
        source.start(start_ns)
    while True:
        now_ns = time.monotonic_ns()
        for source in sources:
            source.send_due(now_ns)
        upcoming = [due for due in (source.next_due_ns() for source in sources) if due is not None]
        if not upcoming:
            break
        idle_ns = min(upcoming) - time.monotonic_ns()
        if idle_ns > 0:
            time.sleep(max(idle_ns, NAP_NS) / 1e9)


if __name__ == "__main__":
    main()
