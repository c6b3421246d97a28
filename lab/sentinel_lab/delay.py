"""A delay line in user space, for kernels without netem: packets wait their time behind a TUN device.

What a namespace would send by a gateway goes into a TUN device instead; this process holds each packet for its delay
and hands it to the kernel again, which then routes it on. Its error is measured (`sentinel bench traffic`).
"""

from __future__ import annotations

import fcntl
import os
import select
import struct
import subprocess
import sys
import time
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sentinel_api.errors import Invalid, Transient
from sentinel_lab.namespaces import enter_for_good, go_first, run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sentinel_lab.namespaces import Namespace

TUNSETIFF: Final = 0x400454CA
IFF_TUN, IFF_NO_PI = 0x0001, 0x1000
DEVICE: Final = "delay0"
TABLE: Final = "77"
LARGEST: Final = 65_535
LONGEST_MS: Final = 2_000.0
FOREVER_NS: Final = 1_000_000_000
QUEUE_PACKETS: Final = "10000"  # what a burst of the lab sends while the line sleeps


@dataclass(frozen=True, slots=True)
class Way:
    """The route whose packets wait: to this network, by this gateway on this device."""

    network: str
    gateway: str
    device: str


def can_delay(millis: float) -> None:
    if not 0.0 < millis <= LONGEST_MS:
        raise Invalid(f"a delay of {millis:g} ms cannot be made: ask for more than 0 and at most {LONGEST_MS:g}")


@contextmanager
def delayed(space: Namespace, way: Way, millis: float) -> Iterator[None]:
    """What the namespace sends that way leaves so much later; the route is as it was when the block ends."""
    can_delay(millis)
    command = [sys.executable, "-m", "sentinel_lab.delay", space.name, str(millis)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            if process.stdout is None or process.stdout.readline() != "ready\n":
                raise Transient("the delay line did not start")
            _turn_aside(space, way)
            yield
        finally:
            space.ip("route", "replace", way.network, "via", way.gateway, "dev", way.device)
            process.terminate()


def _turn_aside(space: Namespace, way: Way) -> None:
    """Into the line first; what comes out of it, from an address of this very namespace, takes the old way."""
    space.ip("link", "set", DEVICE, "up", "txqueuelen", QUEUE_PACKETS)
    sysctl = ("ip", "netns", "exec", space.name, "sysctl", "-qw", "net.ipv4.ip_forward=1")
    run(*sysctl, *(f"net.ipv4.conf.{each}.rp_filter=0" for each in ("all", DEVICE)))
    run(*sysctl, f"net.ipv4.conf.{DEVICE}.accept_local=1")
    space.ip("route", "replace", way.network, "via", way.gateway, "dev", way.device, "table", TABLE)
    if f"iif {DEVICE}" not in space.ip("rule", "list"):
        space.ip("rule", "add", "iif", DEVICE, "lookup", TABLE, "priority", TABLE)
    space.ip("route", "replace", way.network, "dev", DEVICE)


def main() -> None:
    """Ends when its standard input does, with whoever started it."""
    name, delay_ns = sys.argv[1], int(float(sys.argv[2]) * 1e6)
    enter_for_good(name)
    line = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(line, TUNSETIFF, struct.pack("16sH22x", DEVICE.encode(), IFF_TUN | IFF_NO_PI))
    go_first()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    _carry(line, delay_ns)


def _carry(line: int, delay_ns: int) -> None:
    waiting: deque[tuple[int, bytes]] = deque()
    while True:
        left_ns = waiting[0][0] - time.monotonic_ns() if waiting else FOREVER_NS
        ready, _, _ = select.select([line, sys.stdin], [], [], max(0, left_ns) / 1e9)
        if sys.stdin in ready:
            return
        if line in ready:
            _take(line, waiting, delay_ns)
        now_ns = time.monotonic_ns()
        while waiting and waiting[0][0] <= now_ns:
            os.write(line, waiting.popleft()[1])


def _take(line: int, waiting: deque[tuple[int, bytes]], delay_ns: int) -> None:
    try:
        while True:
            packet = os.read(line, LARGEST)
            waiting.append((time.monotonic_ns() + delay_ns, packet))
    except BlockingIOError:
        return


if __name__ == "__main__":
    main()
