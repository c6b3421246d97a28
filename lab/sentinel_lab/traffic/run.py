"""Start the two traffic processes, and judge what they brought back."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sentinel_api.errors import Transient
from sentinel_lab.traffic.orders import Received, ReceiveOrder, SendOrder, StreamSent

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WORST_LAG_US_P99 = 50_000.0  # of bursts that last two seconds: later ones have another shape
ANSWER_SECONDS = 20
HEAD_START_NS = 50_000_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """Both ends' own counts; the stream's index is its place in the order."""

    sent: tuple[StreamSent, ...]
    received: Received
    arrivals: npt.NDArray[Any]

    def of(self, stream: int) -> npt.NDArray[Any]:
        mine: npt.NDArray[Any] = self.arrivals[self.arrivals["stream"] == stream]
        return mine

    def delay_ms(self, stream: int, quantile: float) -> float:
        """From leaving the sender to the receiver's socket being read."""
        mine = self.of(stream)
        if not mine.size:
            return 0.0
        return float(np.quantile((mine["got_ns"] - mine["sent_ns"]) / 1e6, quantile))

    def dirt(self) -> list[str]:
        """Why this sample must not be used."""
        found = []
        if self.received.overflowed:
            found.append(f"the receiver's own socket lost {self.received.overflowed} packets")
        for each in self.sent:
            if each.lag_us_p99 > WORST_LAG_US_P99:
                found.append(f"the sender to port {each.port} was late by {each.lag_us_p99 / 1000:.0f} ms (p99)")
            if each.sent != each.due:
                found.append(f"the sender to port {each.port} sent {each.sent} of {each.due} packets")
        return found


class Traffic:
    """Two processes, ready: `start` sets them off, `outcome` waits for what is still under way and ends them."""

    def __init__(self, sending: subprocess.Popen[str], receiving: subprocess.Popen[str], output: Path) -> None:
        self._sending = sending
        self._receiving = receiving
        self._output = output

    def start(self) -> int:
        """When the first packet is due, on CLOCK_MONOTONIC."""
        start_ns = time.monotonic_ns() + HEAD_START_NS
        _write(self._sending, str(start_ns))
        return start_ns

    def sending(self) -> bool:
        return self._sending.poll() is None

    def outcome(self) -> Outcome:
        sent = _answer(self._sending, "sender")
        _write(self._receiving, "stop")
        received = _answer(self._receiving, "receiver")
        return Outcome(
            tuple(StreamSent.model_validate(each) for each in json.loads(sent)),
            Received.model_validate_json(received),
            np.load(self._output),
        )


@contextmanager
def ready(send: SendOrder, receive_namespace: str, folder: Path) -> Iterator[Traffic]:
    """Both processes up and waiting; they end with the block, whatever happens in it."""
    output = folder / "arrivals.npy"
    ports = tuple(stream.port for stream in send.streams)
    receive = ReceiveOrder(namespace=receive_namespace, ports=ports, output=str(output))
    with (
        _process("receiver", receive.model_dump_json()) as receiving,
        _process("sender", send.model_dump_json()) as sending,
    ):
        yield Traffic(sending, receiving, output)


@contextmanager
def _process(module: str, order: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", f"sentinel_lab.traffic.{module}"]
    # A session of its own: Ctrl-C is for the one who watches, and these are ended below.
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            _write(process, order)
            if process.stdout is None or process.stdout.readline() != "ready\n":
                raise Transient(f"the {module} process did not start")
            yield process
        finally:
            if process.poll() is None:
                process.terminate()


def _write(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()


def _answer(process: subprocess.Popen[str], name: str) -> str:
    assert process.stdout is not None
    text = process.stdout.read()
    if process.wait(ANSWER_SECONDS) != 0:
        raise Transient(f"the {name} process ended with exit code {process.returncode}")
    return text
