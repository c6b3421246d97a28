"""Load on a test's node, and what became of it: numbered packets at a steady pace, and when they came."""

from __future__ import annotations

import fcntl
import json
import os
import threading
import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sentinel_lab.topology import RECEIVER_ADDRESS
from support.netns import NUMBER_BYTES

if TYPE_CHECKING:
    from support.netns import Bottleneck

OUT = Path(os.environ.get("SENTINEL_LADDER_OUT", Path(__file__).parents[2] / "out"))


AT_ONCE, AT_ONCE_S = range(12, 50), 0.025
"""So many may come together, as many as are due within so long: twelve fit into the smallest queue there is."""


class Load:
    """Sends while it is entered; `lost` waits for what is still under way. One at a time for a port."""

    def __init__(self, node: Bottleneck, port: int, packets_per_s: int = 500, size: int = 1000) -> None:
        self.sent = self.arrived = 0
        self.longest_silence_s = 0.0
        """Between two arrivals: what a user would have noticed; on a busy machine also the machine's own doing."""
        self._node, self._port, self.pace_s, self._size = node, port, 1 / packets_per_s, size
        self._at_once = min(max(int(packets_per_s * AT_ONCE_S), AT_ONCE.start), AT_ONCE.stop)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Load:
        self._node.received(self._port)
        self._node.numbers[self._port] = []
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        """Catches up with its pace, so that a busy machine sends the same in bursts; but not with a long stall, all of
        which would not fit into a queue."""
        began, before, last = time.monotonic(), 0, time.monotonic()
        while not self._stop.is_set():
            due = int((time.monotonic() - began) / self.pace_s) - self.sent
            if due > self._at_once:
                began += (due - self._at_once) * self.pace_s
                due = self._at_once
            if due > 0:
                self._send(due)
            now, arrived = time.monotonic(), self._arrived()
            self.arrived = arrived
            if arrived > before:
                self.longest_silence_s = max(self.longest_silence_s, now - last)
                before, last = arrived, now
            self._stop.wait(self.pace_s)

    def _send(self, count: int) -> None:
        """What the sender itself has no way for counts as sent, and so as lost."""
        for _ in range(count):
            packet = self.sent.to_bytes(NUMBER_BYTES).ljust(self._size, b"\0")
            with suppress(OSError):
                self._node.outgoing.sendto(packet, (RECEIVER_ADDRESS, self._port))
            self.sent += 1

    def _arrived(self) -> int:
        self._node.received(self._port)
        return len(self._node.numbers[self._port])

    def lost(self) -> int:
        """Once it has stopped: waits until nothing more comes for a while."""
        quiet, seen = 0, -1
        while quiet < 20 and self._arrived() < self.sent:
            arrived = self._arrived()
            quiet, seen = (quiet + 1, arrived) if arrived == seen else (0, arrived)
            time.sleep(0.1)
        return self.sent - self._arrived()

    def gaps(self) -> list[range]:
        """Once it has stopped: the numbers of the lost packets, those in a row together."""
        self.lost()
        came = sorted(self._node.numbers[self._port])
        return [range(one + 1, other) for one, other in pairwise([-1, *came, self.sent]) if other > one + 1]


def figure(fault: str, **figures: Any) -> None:
    """Kept in out/agent-faults.json, where docs/benchmarks/agent-faults.md has them from."""
    OUT.mkdir(exist_ok=True)
    path = OUT / "agent-faults.json"
    told = {name: round(value, 3) if isinstance(value, float) else value for name, value in figures.items()}
    with (OUT / "agent-faults.lock").open("w") as lock:  # another run of tests may tell of its own at this moment
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = json.loads(path.read_text()) if path.exists() else {}
        path.write_text(json.dumps(known | {fault: told}, indent=1, sort_keys=True) + "\n")
