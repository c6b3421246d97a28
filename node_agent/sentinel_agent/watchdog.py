"""systemd's watchdog, told only while ticks are answered: a process whose tick is stuck is restarted even though its
other threads live. The protocol is one datagram, so no library is needed."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SHARE: Final = 3  # told so often in the time that systemd waits
LOOK_S: Final = 0.2


class Watchdog:
    """`stuck` and `unready` say why not, or nothing."""

    def __init__(self, address: str, patience_s: float, stuck: Callable[[], str], unready: Callable[[], str]) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._every_s = patience_s / SHARE if patience_s else 0.0
        self._stuck, self._unready = stuck, unready
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)

    @classmethod
    def of(cls, env: Mapping[str, str], stuck: Callable[[], str], unready: Callable[[], str]) -> Watchdog | None:
        """None where nobody listens."""
        address = env.get("NOTIFY_SOCKET", "")
        micros = env.get("WATCHDOG_USEC", "0")
        return cls(address, int(micros) / 1e6 if micros.isdecimal() else 0.0, stuck, unready) if address else None

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()
        self._tell("STOPPING=1")
        self._socket.close()

    def _run(self) -> None:
        while self._unready():
            if self._ended.wait(LOOK_S):
                return
        self._tell("READY=1")
        if not self._every_s:
            return
        while not self._ended.wait(self._every_s):
            why = self._stuck()
            self._tell(f"STATUS={why}" if why else "WATCHDOG=1")

    def _tell(self, words: str) -> None:
        try:
            self._socket.sendto(words.encode(), self._address)
        except OSError:  # systemd is away or its queue is full: the next one comes soon
            return
