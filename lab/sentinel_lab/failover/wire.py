"""A bad wire between nodes and their switch: it loses frames and holds each one as long as it likes, in user space.

node ── to-node ── (this process) ── w-node ── v-node ── switch
"""

from __future__ import annotations

import heapq
import json
import os
import random
import select
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

from sentinel_api.errors import Transient
from sentinel_lab.namespaces import enter_for_good, go_first

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sentinel_lab.namespaces import Namespace

ALL_FRAMES: Final = 3
SOL_PACKET, PACKET_IGNORE_OUTGOING = 263, 23
LARGEST: Final = 65_535
BUFFER_BYTES: Final = 8 << 20
STALL_S: Final = 0.05
"""A frame comes or goes every few milliseconds."""


@dataclass(frozen=True, slots=True)
class Badness:
    """Each frame is lost with this chance, else held for anything up to `jitter_ms`: later ones overtake it."""

    loss: float
    jitter_ms: float


@dataclass(frozen=True, slots=True)
class Stall:
    """For so long the wire passed nothing on, or it had no CPU: who was silent then was not the node."""

    at: str
    ms: float


def stalls(notes: Path) -> tuple[Stall, ...]:
    """What the wire wrote down of itself."""
    lines = notes.read_text().splitlines() if notes.exists() else ()
    return tuple(Stall(at, float(ms)) for at, ms in (line.split() for line in lines))


@contextmanager
def bad_wires(switch: Namespace, roles: Sequence[str], badness: Badness, notes: Path) -> Iterator[None]:
    """Every frame to and from these, in either direction; when it stood still lies in the file `notes` afterwards."""
    pairs = [(f"to-{role}", f"w-{role}") for role in roles]
    for role in roles:
        switch.ip("link", "add", f"w-{role}", "type", "veth", "peer", "name", f"v-{role}")
        for device in (f"w-{role}", f"v-{role}"):
            switch.ip("link", "set", device, "up")
    order = {
        "namespace": switch.name,
        "pairs": pairs,
        "loss": badness.loss,
        "jitter_ms": badness.jitter_ms,
        "notes": str(notes),
    }
    command = [sys.executable, "-m", "sentinel_lab.failover.wire"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(json.dumps(order) + "\n")
            process.stdin.flush()
            if process.stdout.readline() != "ready\n":
                raise Transient("the bad wire did not start")
            for role in roles:
                switch.ip("link", "set", f"to-{role}", "nomaster")
                switch.ip("link", "set", f"v-{role}", "master", "switch")
            yield
        finally:
            process.terminate()
    for role in roles:
        switch.ip("link", "del", f"w-{role}")
        switch.ip("link", "set", f"to-{role}", "master", "switch")


def main() -> None:
    """Ends with its standard input."""
    order: dict[str, Any] = json.loads(sys.stdin.readline())
    enter_for_good(order["namespace"])
    over: dict[int, socket.socket] = {}
    for pair in order["pairs"]:
        one, two = map(_tapped, pair)
        over |= {one.fileno(): two, two.fileno(): one}
    go_first()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    with Path(order["notes"]).open("a", buffering=1) as notes:
        _carry(over, order["loss"], order["jitter_ms"] / 1e3, notes)


def _carry(over: dict[int, socket.socket], loss: float, jitter_s: float, notes: TextIO) -> None:
    held: list[tuple[float, int, int, bytes]] = []
    number = count()
    chance = random.Random()  # noqa: S311  weather, no secret
    before_s = time.monotonic()
    while True:
        left_s = max(held[0][0] - time.monotonic(), 0.0) if held else None
        ready, _, _ = select.select([sys.stdin.fileno(), *over], [], [], left_s)
        if (stood_s := (now_s := time.monotonic()) - before_s) > STALL_S:
            notes.write(f"{datetime.now(UTC).isoformat()} {stood_s * 1e3:.0f}\n")
        before_s = now_s
        if sys.stdin.fileno() in ready:
            return
        for descriptor in ready:
            for frame in _waiting(descriptor):
                if chance.random() >= loss:
                    due_s = time.monotonic() + chance.uniform(0.0, jitter_s)
                    heapq.heappush(held, (due_s, next(number), descriptor, frame))
        while held and held[0][0] <= time.monotonic():
            _, _, descriptor, frame = heapq.heappop(held)
            with suppress(OSError):  # the other end is down: a wire that leads nowhere loses everything
                over[descriptor].send(frame)


def _waiting(descriptor: int) -> Iterator[bytes]:
    while True:
        try:
            yield os.read(descriptor, LARGEST)
        except OSError:
            return


def _tapped(device: str) -> socket.socket:
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_FRAMES))
    made.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    made.bind((device, ALL_FRAMES))
    made.setblocking(False)
    return made


if __name__ == "__main__":
    main()
