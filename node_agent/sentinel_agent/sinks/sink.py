"""One place that takes metrics over HTTP: batches wait in a short queue, the oldest go first when it is full, and
nothing here is ever waited for by the tick."""

from __future__ import annotations

import http.client
import random
import threading
import time
import urllib.error
import urllib.request
from collections import deque
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import structlog
from prometheus_client.registry import Collector

from sentinel_agent.metrics import counter, gauge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from prometheus_client.core import Metric

KEPT: Final = 30
"""Batches that wait while nobody takes them: five minutes of them at the default interval, some hundred KiB."""
PATIENCE_S: Final = 5.0
LAST_RETRY_S: Final = 60.0
TRY_AGAIN: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Target:
    url: str
    headers: Mapping[str, str]


class Refused(Exception):
    """It will not take this batch however often it is offered."""


class Sink:
    def __init__(self, name: str, target: Target, encode: Callable[[int], bytes], every_s: float) -> None:
        self.name = name
        self.sent = 0
        self.dropped = 0
        self._target = target
        self._encode = encode
        self._every_s = every_s
        self._waiting: deque[bytes] = deque()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"sink-{name}", daemon=True)

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Not waited for: what is left is a minute of metrics at most."""
        self._stopped.set()

    def _run(self) -> None:
        failures, quiet_until = 0, 0.0
        while not self._stopped.wait(self._every_s):
            self._take(self._encode(time.time_ns()))
            if time.monotonic() < quiet_until:
                continue
            try:
                self._send_all()
                failures = 0
            except OSError as error:
                if not failures:
                    log.warning("sink_silent", sink=self.name, error=str(error))
                failures += 1
                pause_s = min(LAST_RETRY_S, self._every_s * 2**failures) * random.uniform(0.5, 1.5)  # noqa: S311
                quiet_until = time.monotonic() + pause_s

    def _take(self, batch: bytes) -> None:
        if len(self._waiting) >= KEPT:
            self._waiting.popleft()
            self.dropped += 1
        self._waiting.append(batch)

    def _send_all(self) -> None:
        while self._waiting:
            try:
                self._send(self._waiting[0])
                self.sent += 1
            except Refused as error:
                log.warning("sink_refused", sink=self.name, error=str(error))
                self.dropped += 1
            self._waiting.popleft()

    def _send(self, batch: bytes) -> None:
        """OSError: try again later."""
        request = urllib.request.Request(  # noqa: S310  the settings take http and https only
            self._target.url, data=batch, headers=dict(self._target.headers), method="POST"
        )
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S):  # noqa: S310
                return
        except urllib.error.HTTPError as error:
            with error:
                said = error.read(200).decode(errors="replace")
            if error.code < HTTPStatus.INTERNAL_SERVER_ERROR and error.code not in TRY_AGAIN:
                raise Refused(f"{error.code}: {said}") from error
            raise OSError(f"{error.code}: {said}") from error
        except http.client.HTTPException as error:
            raise OSError(f"no HTTP came back: {error!r}") from error


class SinkCollector(Collector):
    def __init__(self, sinks: Sequence[Sink]) -> None:
        self._sinks = sinks

    def collect(self) -> Iterator[Metric]:
        sent, dropped = counter("sentinel_sink_batches_sent"), counter("sentinel_sink_batches_dropped")
        waiting = gauge("sentinel_sink_waiting")
        for each in self._sinks:
            sent.add_metric([each.name], each.sent)
            dropped.add_metric([each.name], each.dropped)
            waiting.add_metric([each.name], each.waiting)
        yield from (sent, dropped, waiting)
