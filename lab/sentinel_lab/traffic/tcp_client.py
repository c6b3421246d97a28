"""The sending TCP process: real sockets of the kernel, with its congestion control; requests are due by the clock."""

from __future__ import annotations

import selectors
import socket
import sys
import time
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from sentinel_lab.namespaces import enter_for_good, go_first
from sentinel_lab.traffic.tcp_orders import TcpOrder, TcpSent
from sentinel_lab.traffic.tcp_server import ANSWER, GREETING

CHUNK = bytes(1 << 16)
SEND_BUFFER_BYTES = 4 << 20  # more than the pool: what waits must be able to wait in the queue under test
SO_SNDBUFFORCE = 32  # a machine's own maximum may be far less
TCP_NOTSENT_LOWAT = 25
UNSENT_BYTES = 1 << 17  # what waits in the sender's own memory when a run ends would be sent after it
CONNECT_SECONDS = 120.0  # only ends a hang: a busy machine starts the other end that much later
AGAIN_SECONDS = 0.02
SETTLE_NS = 3_000_000_000
"""Answers may come in so long after the last request was due; what comes later is counted as failed."""


@dataclass(slots=True)
class Connection:
    socket: socket.socket
    sent: int = 0
    unsent: int = 0
    answered_bytes: int = 0
    due_ns: deque[int] = field(default_factory=deque)
    closing: bool = False


def _fresh(congestion: str) -> socket.socket:
    opened = socket.socket()
    opened.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, SEND_BUFFER_BYTES)
    opened.setsockopt(socket.IPPROTO_TCP, TCP_NOTSENT_LOWAT, UNSENT_BYTES)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, congestion.encode())
    return opened


def connected(order: TcpOrder) -> socket.socket:
    """Once the server listens: it starts at the same time, and may be the later one."""
    until = time.monotonic() + CONNECT_SECONDS
    while True:
        opened = _fresh(order.congestion)
        opened.settimeout(CONNECT_SECONDS)
        try:
            opened.connect((order.address, order.port))
        except ConnectionRefusedError:
            opened.close()
            if time.monotonic() >= until:
                raise
            time.sleep(AGAIN_SECONDS)
        else:
            return opened


class Client:
    def __init__(self, order: TcpOrder) -> None:
        self._order = order
        self._ready = selectors.DefaultSelector()
        self._connections: list[Connection] = []
        self._millis: list[float] = []
        self._failed = 0
        self._due = self._schedule()
        if order.kind != "short":
            for _ in range(order.connections):
                self._open()

    def run(self, start_ns: int) -> TcpSent:
        """Until the end of the order, and for requests until the last answer."""
        time.sleep(max(0, start_ns - time.monotonic_ns()) / 1e9)
        end_ns = start_ns + int(self._order.seconds * 1e9)
        due = (self._due + start_ns).tolist()
        at = 0
        while (now_ns := time.monotonic_ns()) < end_ns + SETTLE_NS:
            while at < len(due) and due[at] <= now_ns:
                self._ask(due[at], at)
                at += 1
            if now_ns >= end_ns and (self._order.kind == "bulk" or not self._outstanding()):
                break
            upcoming = due[at] if at < len(due) else end_ns if now_ns < end_ns else end_ns + SETTLE_NS
            for key, events in self._ready.select(max(0, upcoming - now_ns) / 1e9):
                self._serve(key.data, events, now_ns < end_ns)
        return TcpSent(
            bytes_by_connection=tuple(each.sent for each in self._connections),
            due=at,
            answered=len(self._millis),
            failed=self._failed + self._outstanding(),
            millis=tuple(self._millis),
        )

    def _schedule(self) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """Memoryless: people and cron jobs alike do not wait for each other's answers."""
        if self._order.kind == "bulk":
            return np.zeros(0, np.int64)
        random = np.random.default_rng(self._order.seed)
        count = random.poisson(self._order.per_second * self._order.seconds)
        return np.sort(random.uniform(0, self._order.seconds * 1e9, count)).astype(np.int64)

    def _open(self) -> Connection:
        if self._order.kind == "short":
            opened = _fresh(self._order.congestion)
            opened.setblocking(False)
            opened.connect_ex((self._order.address, self._order.port))
        else:
            opened = connected(self._order)
            opened.sendall(GREETING.pack(0 if self._order.kind == "bulk" else self._order.request_bytes))
            opened.setblocking(False)
        connection = Connection(opened)
        self._ready.register(opened, selectors.EVENT_READ | selectors.EVENT_WRITE, connection)
        self._connections.append(connection)
        return connection

    def _ask(self, due_ns: int, number: int) -> None:
        short = self._order.kind == "short"
        connection = self._open() if short else self._connections[number % len(self._connections)]
        connection.due_ns.append(due_ns)
        connection.unsent += self._order.request_bytes + (GREETING.size if short else 0)
        if not connection.closing:
            self._ready.modify(connection.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, connection)

    def _outstanding(self) -> int:
        return sum(len(each.due_ns) for each in self._connections)

    def _serve(self, connection: Connection, events: int, sending: bool) -> None:
        try:
            if events & selectors.EVENT_WRITE:
                self._write(connection, sending)
            if events & selectors.EVENT_READ:
                self._read(connection)
        except BlockingIOError:
            return
        except OSError:
            self._failed += len(connection.due_ns)
            self._close(connection)

    def _write(self, connection: Connection, sending: bool) -> None:
        bulk = self._order.kind == "bulk"
        if (bulk and not sending) or (not bulk and not connection.unsent):
            self._ready.modify(connection.socket, selectors.EVENT_READ, connection)
            return
        if bulk:
            connection.sent += connection.socket.send(CHUNK)
            return
        data = self._next(connection)
        taken = connection.socket.send(data)
        connection.unsent -= taken
        connection.sent += taken

    def _next(self, connection: Connection) -> bytes:
        """A short connection's first bytes are its greeting."""
        if self._order.kind == "short" and connection.sent < GREETING.size:
            return GREETING.pack(self._order.request_bytes)[connection.sent :]
        return CHUNK[: min(len(CHUNK), connection.unsent)]

    def _read(self, connection: Connection) -> None:
        data = connection.socket.recv(1 << 16)
        if not data:
            raise ConnectionResetError
        answers, connection.answered_bytes = divmod(connection.answered_bytes + len(data), len(ANSWER))
        now_ns = time.monotonic_ns()
        for _ in range(answers):
            self._millis.append((now_ns - connection.due_ns.popleft()) / 1e6)
        if self._order.kind == "short" and not connection.due_ns:
            self._close(connection)

    def _close(self, connection: Connection) -> None:
        connection.due_ns.clear()
        connection.closing = True
        self._ready.unregister(connection.socket)
        connection.socket.close()


def main() -> None:
    order = TcpOrder.model_validate_json(sys.stdin.readline())
    enter_for_good(order.namespace)
    go_first()
    client = Client(order)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    start_ns = int(sys.stdin.readline())
    sys.stdout.write(client.run(start_ns).model_dump_json() + "\n")


if __name__ == "__main__":
    main()
