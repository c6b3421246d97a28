"""The receiving TCP process: takes what comes, and answers a request once all of it is there.

A connection says first what it is: eight bytes, the length of its requests, 0 for one that only sends.
"""

from __future__ import annotations

import selectors
import socket
import struct
import sys
from dataclasses import dataclass

from sentinel_lab.namespaces import enter_for_good, go_first
from sentinel_lab.traffic.tcp_orders import Served, ServeOrder

GREETING = struct.Struct("!Q")
ANSWER = b"\0" * 64
CHUNK = 1 << 18
BACKLOG = 512


@dataclass(slots=True)
class Peer:
    request_bytes: int | None = None
    greeting: bytes = b""
    total: int = 0
    pending: int = 0

    def take(self, data: bytes) -> int:
        """How many answers are due now."""
        if self.request_bytes is None:
            self.greeting += data
            if len(self.greeting) < GREETING.size:
                return 0
            (self.request_bytes,) = GREETING.unpack(self.greeting[: GREETING.size])
            data = self.greeting[GREETING.size :]
        self.total += len(data)
        if not self.request_bytes:
            return 0
        whole, self.pending = divmod(self.pending + len(data), self.request_bytes)
        return whole


def main() -> None:
    order = ServeOrder.model_validate_json(sys.stdin.readline())
    enter_for_good(order.namespace)
    listening = socket.create_server(("0.0.0.0", order.port), backlog=BACKLOG)  # noqa: S104 - a namespace of our own
    listening.setblocking(False)
    ready = selectors.DefaultSelector()
    ready.register(sys.stdin, selectors.EVENT_READ)
    ready.register(listening, selectors.EVENT_READ)
    go_first()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    peers: list[Peer] = []
    while True:
        for key, _ in ready.select():
            if key.fileobj is sys.stdin:
                answer = Served(bytes_by_connection=tuple(peer.total for peer in peers))
                sys.stdout.write(answer.model_dump_json() + "\n")
                return
            if key.fileobj is listening:
                peers.append(_welcomed(listening, ready))
            else:
                _served(key.fileobj, key.data, ready)  # type: ignore[arg-type]


def _welcomed(listening: socket.socket, ready: selectors.BaseSelector) -> Peer:
    peer = Peer()
    connection, _ = listening.accept()
    connection.setblocking(False)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    ready.register(connection, selectors.EVENT_READ, peer)
    return peer


def _served(connection: socket.socket, peer: Peer, ready: selectors.BaseSelector) -> None:
    try:
        data = connection.recv(CHUNK)
        if data:
            for _ in range(peer.take(data)):
                connection.send(ANSWER)
            return
    except BlockingIOError:
        return
    except OSError:
        pass  # reset: what it had sent is counted
    ready.unregister(connection)
    connection.close()


if __name__ == "__main__":
    main()
