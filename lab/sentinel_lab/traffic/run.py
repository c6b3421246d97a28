"""Start the two traffic processes, and judge what they brought back."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sentinel_api.errors import Transient
from sentinel_core.sample import PERIOD_NS
from sentinel_lab.traffic.orders import Received, ReceiveOrder, SendOrder, StreamSent
from sentinel_lab.traffic.tcp_orders import Served, ServeOrder, TcpOrder, TcpSent

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

WORST_LAG_US_P99 = 10_000.0  # the shortest burst lasts as long: a later one has another shape
ANSWER_SECONDS = 120  # only ends a hang
HEAD_START_NS = 50_000_000


@dataclass(frozen=True, slots=True)
class Outcome:
    """Both ends' own counts."""

    sent: tuple[StreamSent, ...]
    received: Received
    arrivals: npt.NDArray[Any]
    tcp_sent: Mapping[int, TcpSent]
    tcp_served: Mapping[int, Served]
    """Both by port."""

    def sent_to(self, port: int) -> StreamSent:
        return next(each for each in self.sent if (each.port, each.kind) == (port, "udp"))

    def flood_to(self, port: int) -> StreamSent | None:
        return next((each for each in self.sent if (each.port, each.kind) == (port, "syn")), None)

    def to(self, port: int) -> npt.NDArray[Any]:
        stream = self.sent.index(self.sent_to(port))
        mine: npt.NDArray[Any] = self.arrivals[self.arrivals["stream"] == stream]
        return mine

    def delay_ms(self, port: int, quantile: float) -> float:
        """From leaving the sender to the receiver's socket being read."""
        mine = self.to(port)
        if not mine.size:
            return 0.0
        return float(np.quantile((mine["got_ns"] - mine["sent_ns"]) / 1e6, quantile))

    def mean_delay_ms(self, port: int) -> float:
        mine = self.to(port)
        return float(np.mean((mine["got_ns"] - mine["sent_ns"]) / 1e6)) if mine.size else 0.0

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


Process = subprocess.Popen[str]


class Traffic:
    """All processes, starting: `start` waits until they are ready and sets them off, `outcome` waits for what is still
    under way and ends them."""

    def __init__(self, sending: Process, receiving: Process, output: Path) -> None:
        self._sending = sending
        self._receiving = receiving
        self._output = output
        self.tcp: dict[int, tuple[Process, Process]] = {}
        """Client and server, by port."""

    def start(self, grid_ns: int | None = None) -> int:
        """When the first packet is due, on CLOCK_MONOTONIC: soon, and if asked whole periods of the product's tick
        after `grid_ns`."""
        _await_ready(self._receiving, "receiver")
        _await_ready(self._sending, "sender")
        for client, server in self.tcp.values():
            _await_ready(server, "TCP server")
            _await_ready(client, "TCP client")
        start_ns = time.monotonic_ns() + HEAD_START_NS
        if grid_ns is not None:
            start_ns += (grid_ns - start_ns) % PERIOD_NS
        for each in self._senders():
            _write(each, str(start_ns))
        return start_ns

    def sending(self) -> bool:
        return any(each.poll() is None for each in self._senders())

    def outcome(self) -> Outcome:
        sent = _answer(self._sending, "sender")
        tcp_sent = {
            port: TcpSent.model_validate_json(_answer(client, "TCP client")) for port, (client, _) in self.tcp.items()
        }
        for each in (self._receiving, *(server for _, server in self.tcp.values())):
            _write(each, "stop")
        return Outcome(
            sent=tuple(StreamSent.model_validate(each) for each in json.loads(sent)),
            received=Received.model_validate_json(_answer(self._receiving, "receiver")),
            arrivals=np.load(self._output),
            tcp_sent=tcp_sent,
            tcp_served={
                port: Served.model_validate_json(_answer(server, "TCP server"))
                for port, (_, server) in self.tcp.items()
            },
        )

    def _senders(self) -> Iterator[Process]:
        yield self._sending
        yield from (client for client, _ in self.tcp.values())


@contextmanager
def ready(
    send: SendOrder, receive_namespace: str, folder: Path, tcp: Sequence[TcpOrder] = (), beside: Sequence[str] = ()
) -> Iterator[Traffic]:
    """Every process under way, all at once; they end with the block, whatever happens in it. `beside` are namespaces
    where datagrams are received as well."""
    output = folder / "arrivals.npy"
    ports, syn_ports = (tuple(each.port for each in send.streams if each.kind == kind) for kind in ("udp", "syn"))
    receive = ReceiveOrder(
        namespace=receive_namespace, beside=tuple(beside), ports=ports, syn_ports=syn_ports, output=str(output)
    )
    with ExitStack() as stack:
        receiving = stack.enter_context(_process("receiver", receive.model_dump_json()))
        servers = {
            each.port: stack.enter_context(
                _process("tcp_server", ServeOrder(namespace=receive_namespace, port=each.port).model_dump_json())
            )
            for each in tcp
        }
        sending = stack.enter_context(_process("sender", send.model_dump_json()))
        traffic = Traffic(sending, receiving, output)
        for each in tcp:
            client = stack.enter_context(_process("tcp_client", each.model_dump_json()))
            traffic.tcp[each.port] = (client, servers[each.port])
        yield traffic


def exchanged(order: TcpOrder, receive_namespace: str) -> tuple[TcpSent, Served]:
    """One TCP order from beginning to end."""
    serve = ServeOrder(namespace=receive_namespace, port=order.port)
    with (
        _process("tcp_server", serve.model_dump_json()) as server,
        _process("tcp_client", order.model_dump_json()) as client,
    ):
        _await_ready(server, "TCP server")
        _await_ready(client, "TCP client")
        _write(client, str(time.monotonic_ns() + HEAD_START_NS))
        sent = TcpSent.model_validate_json(_answer(client, "TCP client"))
        _write(server, "stop")
        return sent, Served.model_validate_json(_answer(server, "TCP server"))


@contextmanager
def _process(module: str, order: str) -> Iterator[Process]:
    command = [sys.executable, "-m", f"sentinel_lab.traffic.{module}"]
    # A session of its own: Ctrl-C is for the one who watches, and these are ended below.
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            _write(process, order)
            yield process
        finally:
            if process.poll() is None:
                process.terminate()


def _await_ready(process: Process, name: str) -> None:
    if process.stdout is None or process.stdout.readline() != "ready\n":
        raise Transient(f"the {name} process did not start")


def _write(process: Process, line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(line + "\n")
    process.stdin.flush()


def _answer(process: Process, name: str) -> str:
    assert process.stdout is not None
    text = process.stdout.read()
    if process.wait(ANSWER_SECONDS) != 0:
        raise Transient(f"the {name} process ended with exit code {process.returncode}")
    return text
