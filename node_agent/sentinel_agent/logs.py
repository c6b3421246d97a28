"""Log lines to standard error, which may be a file on a full disk: a line that nobody takes is counted and forgotten,
since no log is worth a tick."""

from __future__ import annotations

import os
import select
import sys
from typing import TYPE_CHECKING, Final

import structlog
from prometheus_client.registry import Collector

from sentinel_agent.metrics import single
from sentinel_api.repeats import Repeats

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric

STANDARD_ERROR: Final = 2
LINE_BYTES: Final = 4096  # a pipe that has room at all has it for so much


class Lossy:
    """As much of a file as structlog needs; one write a line, past the buffers that would keep what failed."""

    def __init__(self, descriptor: int = STANDARD_ERROR) -> None:
        self._descriptor = descriptor
        self._room = select.poll()
        self._room.register(descriptor, select.POLLOUT)
        self.lost = 0

    def write(self, text: str) -> int:
        """A pipe whose reader sleeps must not hold the caller, which may be the tick."""
        try:
            if self._room.poll(0):
                return os.write(self._descriptor, text.encode(errors="replace")[:LINE_BYTES])
        except OSError:  # counted below, like a pipe that is full
            pass
        self.lost += 1
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""


class LogCollector(Collector):
    def __init__(self, stream: Lossy) -> None:
        self._stream = stream

    def collect(self) -> Iterator[Metric]:
        yield single("sentinel_log_lines_lost", self._stream.lost)


def configure(level: int) -> Lossy:
    stream = Lossy()
    render = structlog.dev.ConsoleRenderer() if sys.stderr.isatty() else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[
            Repeats(),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(stream),  # type: ignore[arg-type]
    )
    return stream
