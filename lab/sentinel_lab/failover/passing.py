"""Flows that begin and end, each sent to where a placement puts it: by its port alone, so that the same balancer and
the same nodes carry all of them, whoever chose.

The service's own port leaves the choice to the balancer; beside it every node has a port that only it serves.
"""

from __future__ import annotations

import selectors
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Final

import numpy as np

from sentinel_lab.failover import plan
from sentinel_lab.failover.load import BUFFER_BYTES, DATAGRAM, SO_RCVBUFFORCE, TICK_S
from sentinel_lab.namespaces import go_first
from sentinel_lab.sim.cluster import Heard

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sentinel_lab.namespaces import Namespace
    from sentinel_lab.sim.cluster import Ints, Placement

STAMP: Final = struct.Struct("!Q")
SETTLING_S: Final = 1.0  # more than a full queue takes to drain
_ports = count(20_000)
"""None twice: the balancer and the nodes know a flow for longer than it lasts."""


@dataclass(frozen=True, slots=True, eq=False)
class Passing:
    """By tick. A flow sends a datagram in each from its first until the one before its last; `busy` names the node that
    `local` flows go to, which nobody places."""

    first: Ints
    last: Ints
    key: NDArray[np.uint64]
    busy: Ints
    local: int


@dataclass(slots=True)
class Passed:
    sent: int = 0
    waits_ns: list[int] = field(default_factory=list)
    """From sending to arrival, of each that arrived."""

    @property
    def drop_share(self) -> float:
        return 1 - len(self.waits_ns) / self.sent


def passed(sender: Namespace, receiver: Namespace, flows: Passing, placement: Placement | None, nodes: int) -> Passed:
    """No placement: the balancer's own choice."""
    found, ended = Passed(), threading.Event()
    hearing = [_hearing(receiver, port) for port in plan.ports(nodes)]
    with sender.entered():
        sending = [_sending() for _ in range(len(flows.first) + nodes * flows.local)]
    listener = threading.Thread(target=_hear, args=(hearing, found, ended), daemon=True)
    speaker = threading.Thread(target=_send, args=(sending, flows, placement, nodes, found), daemon=True)
    try:
        for thread in (listener, speaker):
            thread.start()
        speaker.join()
        time.sleep(SETTLING_S)
    finally:
        ended.set()
        listener.join()
        for each in (*hearing, *sending):
            each.close()
    return found


def _hearing(receiver: Namespace, port: int) -> socket.socket:
    with receiver.entered():
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
    made.bind((plan.VIP, port))
    made.setblocking(False)
    return made


def _sending() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("", next(_ports)))
    return made


def _send(
    sending: Sequence[socket.socket], flows: Passing, placement: Placement | None, nodes: int, found: Passed
) -> None:
    go_first()
    local = [sending[len(flows.first) + node * flows.local :][: flows.local] for node in range(nodes)]
    for node, several in enumerate(local):
        for each in several:
            each.connect((plan.VIP, plan.local_port(node)))
    at, having = np.zeros(len(flows.first), np.int64), np.zeros(nodes, np.int64)
    begin = time.monotonic()
    for tick, busy in enumerate(flows.busy.tolist()):
        np.subtract.at(having, at[flows.last == tick], 1)
        fresh = np.flatnonzero(flows.first == tick)
        at[fresh] = _placed(flows.key[fresh], placement, having)
        np.add.at(having, at[fresh], 1)
        for flow in fresh.tolist():
            port = plan.STREAM_PORT if placement is None else plan.placed_port(int(at[flow]))
            sending[flow].connect((plan.VIP, port))
        time.sleep(max(0.0, begin + tick * TICK_S - time.monotonic()))
        alive = np.flatnonzero((flows.first <= tick) & (tick < flows.last)).tolist()
        for one in (*(sending[flow] for flow in alive), *local[busy]):
            one.send(STAMP.pack(time.monotonic_ns()) + DATAGRAM[STAMP.size :])
            found.sent += 1


def _placed(key: NDArray[np.uint64], placement: Placement | None, having: Ints) -> Ints:
    """By what a balancer knows that is told nothing: its own flows."""
    if placement is None:
        return np.zeros(len(key), np.int64)
    nothing = np.zeros(len(having))
    return placement.place(key, Heard(nothing, nothing, having, np.ones(len(having), np.bool_)))


def _hear(hearing: Sequence[socket.socket], found: Passed, ended: threading.Event) -> None:
    go_first()
    with selectors.DefaultSelector() as waiting:
        for each in hearing:
            waiting.register(each, selectors.EVENT_READ)
        while not ended.is_set():
            for ready, _ in waiting.select(0.1):
                _drain(ready.fileobj, found)  # type: ignore[arg-type]  # what was registered above


def _drain(hearing: socket.socket, found: Passed) -> None:
    try:
        while heard := hearing.recv(2048):
            found.waits_ns.append(time.monotonic_ns() - STAMP.unpack_from(heard)[0])
    except BlockingIOError:
        return
