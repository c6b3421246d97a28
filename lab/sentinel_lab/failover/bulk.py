"""Bulk TCP through the balancer: as many bytes as it gets to the service, in either family."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Final

from sentinel_lab.failover.load import family
from sentinel_lab.failover.plan import BULK_PORT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sentinel_lab.namespaces import Namespace

BLOCK: Final = bytes(65_536)
CONNECT_S: Final = 60.0
PATIENCE_S: Final = 0.2
APART_S: Final = 0.25
SETTLING_S: Final = 2.0
"""What connections take to find their rate."""
_ports = count(30_000)
"""None twice: the balancer and the nodes know a flow for longer than it lasts."""


@dataclass(slots=True)
class Swallowed:
    """By one thread a connection; what a count misses of two at once is no byte lost, so each has its own cell."""

    cells: list[list[int]]

    @property
    def total(self) -> int:
        return sum(each[0] for each in self.cells)


def carried(sender: Namespace, receiver: Namespace, address: str, connections: int, seconds: float) -> float:
    """Bits per second that the service read, of so many connections together."""
    with _swallowing(receiver, address) as swallowed, _pushing(sender, address, connections):
        time.sleep(SETTLING_S)
        before, begin = swallowed.total, time.monotonic()
        time.sleep(seconds)
        return 8 * (swallowed.total - before) / (time.monotonic() - begin)


@contextmanager
def _swallowing(receiver: Namespace, address: str) -> Iterator[Swallowed]:
    swallowed, ended = Swallowed([]), threading.Event()
    with receiver.entered():
        listening = socket.create_server((address, BULK_PORT), family=family(address))
    listening.settimeout(PATIENCE_S)
    readers: list[threading.Thread] = []

    def accept() -> None:
        while not ended.is_set():
            try:
                made, _ = listening.accept()
            except TimeoutError:
                continue
            cell = [0]
            swallowed.cells.append(cell)
            readers.append(threading.Thread(target=_read, args=(made, cell, ended), daemon=True))
            readers[-1].start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield swallowed
    finally:
        ended.set()
        accepting.join()
        for each in readers:
            each.join()
        listening.close()


def _read(made: socket.socket, cell: list[int], ended: threading.Event) -> None:
    made.settimeout(PATIENCE_S)
    with made:
        while not ended.is_set():
            try:
                said = made.recv(len(BLOCK))
            except TimeoutError:
                continue
            except ConnectionError:
                return
            if not said:
                return
            cell[0] += len(said)


@contextmanager
def _pushing(sender: Namespace, address: str, connections: int) -> Iterator[None]:
    """One more every quarter of a second, so that each is placed by what those before it left."""
    ended = threading.Event()
    with sender.entered():
        sending = [socket.socket(family(address), socket.SOCK_STREAM) for _ in range(connections)]
    pushers = [threading.Thread(target=_push, args=(each, ended), daemon=True) for each in sending]
    try:
        for each, thread in zip(sending, pushers, strict=True):
            each.settimeout(CONNECT_S)
            each.bind(("", next(_ports)))
            each.connect((address, BULK_PORT))
            thread.start()
            time.sleep(APART_S)
        yield
    finally:
        ended.set()
        for thread in pushers:
            if thread.ident is not None:
                thread.join()
        for each in sending:
            each.close()


def _push(sending: socket.socket, ended: threading.Event) -> None:
    sending.settimeout(PATIENCE_S)
    while not ended.is_set():
        try:
            sending.send(BLOCK)
        except TimeoutError:
            continue
        except ConnectionError:
            return
