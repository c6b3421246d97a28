"""Start the two traffic processes, and judge what they brought back."""

from __future__ import annotations

import json
import subprocess
import sys
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

WORST_LAG_US_P99 = 20_000.0
ANSWER_SECONDS = 20


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
    """Two running processes; `outcome` waits for both."""

    def __init__(self, sending: subprocess.Popen[str], receiving: subprocess.Popen[str], output: Path) -> None:
        self._sending = sending
        self._receiving = receiving
        self._output = output

    def running(self) -> bool:
        return self._receiving.poll() is None

    def outcome(self) -> Outcome:
        sent = _answer(self._sending, "sender")
        received = _answer(self._receiving, "receiver")
        return Outcome(
            tuple(StreamSent.model_validate(each) for each in json.loads(sent)),
            Received.model_validate_json(received),
            np.load(self._output),
        )


@contextmanager
def started(send: SendOrder, receive_namespace: str, drain_seconds: float, folder: Path) -> Iterator[Traffic]:
    """Traffic on its way from `send.start_ns`; the receiver listens `drain_seconds` longer than is sent."""
    output = folder / "arrivals.npy"
    stop_ns = send.start_ns + int((send.seconds + drain_seconds) * 1e9)
    ports = tuple(stream.port for stream in send.streams)
    receive = ReceiveOrder(namespace=receive_namespace, ports=ports, stop_ns=stop_ns, output=str(output))
    with _process("receiver", receive.model_dump_json()) as receiving:
        if receiving.stdout is None or receiving.stdout.readline() != "ready\n":
            raise Transient("the receiver did not start")
        with _process("sender", send.model_dump_json()) as sending:
            yield Traffic(sending, receiving, output)


@contextmanager
def _process(module: str, order: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", f"sentinel_lab.traffic.{module}"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        process.stdin.write(order + "\n")
        process.stdin.flush()
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()


def _answer(process: subprocess.Popen[str], name: str) -> str:
    assert process.stdout is not None
    text = process.stdout.read()
    if process.wait(ANSWER_SECONDS) != 0:
        raise Transient(f"the {name} process ended with exit code {process.returncode}")
    return text
