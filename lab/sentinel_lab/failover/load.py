"""Load for one node or several behind the balancer: datagrams that fill them, and requests that must be answered."""

from __future__ import annotations

import selectors
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Final

from sentinel_lab.failover.calls import QUESTION
from sentinel_lab.failover.plan import CALL_PORT, STREAM_PORT, VIP

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sentinel_lab.namespaces import Namespace

DATAGRAM: Final = bytes(1000)
TICK_S: Final = 0.02  # each flow sends one datagram a tick
BUFFER_BYTES: Final = 8 << 20
SO_RCVBUFFORCE: Final = 33  # Python has no name for it
ASKING_AT_ONCE: Final = 64
_ports = count(40_000)
"""None twice: the balancer and the nodes know a flow for longer than it lasts."""


@dataclass(slots=True)
class Filled:
    """Counts since the beginning; written by two threads, a number each."""

    sent: int = 0
    arrived: int = 0


@contextmanager
def flows(sender: Namespace, receiver: Namespace, number: int, apart_s: float, address: str = VIP) -> Iterator[Filled]:
    """`number` flows, one more every `apart_s`, until the end of the block."""
    filled, ended = Filled(), threading.Event()
    with receiver.entered():
        hearing = socket.socket(family(address), socket.SOCK_DGRAM)
        hearing.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
        hearing.bind((address, STREAM_PORT))
    with sender.entered():
        sending = [socket.socket(family(address), socket.SOCK_DGRAM) for _ in range(number)]
    for each in sending:
        each.bind(("", next(_ports)))
        each.connect((address, STREAM_PORT))
    threads = [
        threading.Thread(target=_send, args=(sending, apart_s, filled, ended), daemon=True),
        threading.Thread(target=_hear, args=(hearing, filled, ended), daemon=True),
    ]
    for thread in threads:
        thread.start()
    try:
        yield filled
    finally:
        ended.set()
        for thread in threads:
            thread.join()
        for each in (*sending, hearing):
            each.close()


def family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _send(sending: list[socket.socket], apart_s: float, filled: Filled, ended: threading.Event) -> None:
    begin = time.monotonic()
    tick = 0
    while not ended.wait(max(0.0, begin + tick * TICK_S - time.monotonic())):
        tick += 1
        begun = int((time.monotonic() - begin) / apart_s) + 1
        for each in sending[:begun]:
            each.send(DATAGRAM)
            filled.sent += 1


def _hear(hearing: socket.socket, filled: Filled, ended: threading.Event) -> None:
    hearing.setblocking(False)
    with selectors.DefaultSelector() as waiting:
        waiting.register(hearing, selectors.EVENT_READ)
        while not ended.is_set():
            if waiting.select(0.1):
                filled.arrived += _drained(hearing)


def _drained(hearing: socket.socket) -> int:
    found = 0
    try:
        while hearing.recv(2048):
            found += 1
    except BlockingIOError:
        return found
    return found


def requests(sender: Namespace, a_second: float, seconds: float, patience_s: float) -> tuple[int, int]:
    """Each a connection of its own, at its moment whatever became of the others; how many were asked and answered."""
    asked = round(a_second * seconds)
    begin = time.monotonic()
    with ThreadPoolExecutor(ASKING_AT_ONCE) as askers:
        due = [begin + each / a_second for each in range(asked)]
        answers = [askers.submit(_answered, sender, when, patience_s) for when in due]
        return asked, sum(each.result() for each in answers)


def _answered(sender: Namespace, when: float, patience_s: float) -> bool:
    time.sleep(max(0.0, when - time.monotonic()))
    with sender.entered():
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    with made:
        made.settimeout(patience_s)
        made.bind(("", next(_ports)))
        try:
            made.connect((VIP, CALL_PORT))
            made.sendall(QUESTION)
            return made.recv(len(QUESTION)) == QUESTION
        except OSError:
            return False
