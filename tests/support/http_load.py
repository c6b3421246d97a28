"""Steady HTTP load as clients put it on an address: new connections, and connections that stay open. It only counts."""

import contextlib
import errno
import http.client
import itertools
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

FRESH_EVERY_S = 0.05
KEPT_EVERY_S = 0.05
KEPT = 8
PATIENCE_S = 2.0
PORTS = itertools.cycle(range(28_000, 65_500))  # of the clients; a control plane listens below


class Client(http.client.HTTPConnection):
    """From a port that none had before: a kernel gives one again after some thousand connections, and nodes that
    translate remember for days where they sent a connection whose end they never saw, even to a pod that is gone."""

    def connect(self) -> None:
        while True:
            self.source_address = ("", next(PORTS))
            try:
                super().connect()
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
            else:
                return


@dataclass
class Tally:
    """What the clients of one kind met."""

    answered: int = 0
    failed: int = 0
    outage_s: float = 0.0  # the longest time from one answer to the next, over all its clients together
    by: dict[str, int] = field(default_factory=dict)  # answers by who gave them
    _last: float = field(default_factory=time.monotonic)

    def hear(self, who: str) -> None:
        now = time.monotonic()
        self.outage_s, self._last = max(self.outage_s, now - self._last), now
        self.answered += 1
        self.by[who] = self.by.get(who, 0) + 1


@dataclass
class Load:
    """`fresh`: a connection for each request; `kept`: connections that are only opened again when they broke."""

    address: str
    port: int
    path: str = "/"
    kept_for_s: float = float("inf")  # after which a kept connection is exchanged for another, as clients do
    fresh: Tally = field(default_factory=Tally)
    kept: Tally = field(default_factory=Tally)
    broken: int = 0  # kept connections that ended before we ended them
    why: list[str] = field(default_factory=list)  # what those that failed met, and when
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _over: threading.Event = field(default_factory=threading.Event)

    def _connection(self) -> Client:
        return Client(self.address, self.port, timeout=PATIENCE_S)

    def _ask(self, connection: Client, tally: Tally, before: str = "") -> str:
        """Who answered; nobody where it failed. `before` is who answered this connection last."""
        began, step = time.monotonic(), "asked"
        try:
            if connection.sock is None:
                step = "knocked"
                connection.connect()
                step = "asked"
            connection.request("GET", self.path)
            who = connection.getresponse().read().decode().strip()
        except (OSError, http.client.HTTPException) as error:
            port = connection.source_address[1] if connection.source_address else 0
            connection.close()
            with self._lock:
                tally.failed += 1
                now = datetime.now(UTC).strftime("%H:%M:%S.%f")[:-3]
                kept = f", kept by {before}" if before else ""
                self.why.append(f"{now}, {step} {time.monotonic() - began:.1f} s ago from {port}{kept}: {error!r}")
            return ""
        with self._lock:
            tally.hear(who)
        return who

    def _new_ones(self) -> None:
        while not self._over.wait(FRESH_EVERY_S):
            threading.Thread(target=self._one_new, daemon=True).start()

    def _one_new(self) -> None:
        connection = self._connection()
        self._ask(connection, self.fresh)
        connection.close()

    def _one_kept(self) -> None:
        connection, since, who = self._connection(), time.monotonic(), ""
        while not self._over.wait(KEPT_EVERY_S):
            if time.monotonic() - since > self.kept_for_s:
                connection.close()
                connection, since, who = self._connection(), time.monotonic(), ""
            who = self._ask(connection, self.kept, who)
            if not who:
                with self._lock:
                    self.broken += 1
        connection.close()


@contextlib.contextmanager
def load(address: str, port: int, *, path: str = "/", kept_for_s: float = float("inf")) -> Iterator[Load]:
    made = Load(address, port, path, kept_for_s)
    threads = [threading.Thread(target=made._new_ones), *(threading.Thread(target=made._one_kept) for _ in range(KEPT))]
    for thread in threads:
        thread.start()
    try:
        yield made
    finally:
        made._over.set()
        for thread in threads:
            thread.join()
        time.sleep(PATIENCE_S / 10)  # what was just asked is answered, or counts for nothing
