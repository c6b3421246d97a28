"""One node between a sender and a receiver, in namespaces, with the real data plane; and packets one by one."""

from __future__ import annotations

import os
import socket
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sentinel_lab.dataplane import OBJECT, DataPlane, attached
from sentinel_lab.topology import NODE, NODE_DEVICE, RECEIVER, RECEIVER_ADDRESS, SENDER, SINGLE_BOTTLENECK, built

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from sentinel_lab.namespaces import Namespace

PATIENCE_S = 60.0  # only ends a hang
NUMBER_BYTES = 8


def need_data_plane() -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root: network namespaces and BPF")
    if not OBJECT.exists():
        pytest.skip("bpf/build/agent.bpf.o is not built: run `make -C bpf`")


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """Tests run in the node's namespace; `send` and `received` belong to the two ends."""

    spaces: Mapping[str, Namespace]
    outgoing: socket.socket
    incoming: dict[int, socket.socket]
    totals: Counter[int]
    numbers: dict[int, list[int]] = field(default_factory=dict)
    """Of the packets that came to the ports in it, what their first bytes say."""

    def send(self, port: int, count: int, size: int = 1000) -> None:
        for _ in range(count):
            self.outgoing.sendto(bytes(size), (RECEIVER_ADDRESS, port))

    def received(self, port: int) -> int:
        """Since the last time it was asked."""
        count, numbers = 0, self.numbers.get(port)
        try:
            while data := self.incoming[port].recv(9000, socket.MSG_DONTWAIT):
                count += 1
                if numbers is not None:
                    numbers.append(int.from_bytes(data[:NUMBER_BYTES]))
        except BlockingIOError:
            self.totals[port] += count
        return count

    def received_in_all(self, port: int) -> int:
        self.received(port)
        return self.totals[port]


@contextmanager
def bottleneck(ports: tuple[int, ...]) -> Iterator[Bottleneck]:
    need_data_plane()
    with built(SINGLE_BOTTLENECK) as spaces:
        with spaces[SENDER].entered():
            outgoing = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with spaces[RECEIVER].entered():
            incoming = {port: _listening(port) for port in ports}
        try:
            with spaces[NODE].entered():
                yield Bottleneck(spaces, outgoing, incoming, Counter())
        finally:
            for each in (outgoing, *incoming.values()):
                each.close()


@contextmanager
def data_plane(rate_bytes_per_s: int, ports: Mapping[int, int]) -> Iterator[DataPlane]:
    """On the node's device; to be entered within `bottleneck`."""
    with attached(NODE_DEVICE, rate_bytes_per_s, ports) as plane:
        yield plane


def without_ipv6() -> None:
    """Nobody speaks in this namespace but the tests: what the kernel says of IPv6, on devices to come too, would stand
    in the queues."""
    for which in ("all", "default"):
        Path(f"/proc/sys/net/ipv6/conf/{which}/disable_ipv6").write_text("1")


def wait_until(true: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, f"waited {PATIENCE_S:g} s in vain: {what}"
        time.sleep(0.005)


def _listening(port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    listening.setsockopt(socket.SOL_SOCKET, 33, 32 << 20)  # SO_RCVBUFFORCE
    listening.bind(("0.0.0.0", port))
    return listening
