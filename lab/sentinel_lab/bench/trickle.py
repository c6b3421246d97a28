"""A little traffic of many ports, and a burst now and then, so that a node has something to decide."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Final, Self

from sentinel_lab.topology import RECEIVER_ADDRESS

if TYPE_CHECKING:
    from collections.abc import Sequence

PERIOD_S: Final = 0.02
BURST_PERIODS: Final = 100
BURST_PACKETS: Final = 400
BYTES: Final = 900


class Trickle:
    """One packet a port and period, and a burst of one port after another every two seconds. Made in the sender's
    namespace; sends while it is entered."""

    def __init__(self, ports: Sequence[int]) -> None:
        self.sent = 0
        self._ports = ports
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="trickle", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._socket.close()

    def _run(self) -> None:
        turn = 0
        while not self._stop.wait(PERIOD_S):
            turn += 1
            for port in self._ports:
                self._send(port)
            if turn % BURST_PERIODS == 0:
                for _ in range(BURST_PACKETS):
                    self._send(self._ports[turn // BURST_PERIODS % len(self._ports)])

    def _send(self, port: int) -> None:
        self._socket.sendto(bytes(BYTES), (RECEIVER_ADDRESS, port))
        self.sent += 1
