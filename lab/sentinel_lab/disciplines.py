"""The kernel's own queueing disciplines as rivals: the same packets through the same bottleneck, and no controller.

They need a kernel that has them (the VM lane boots such). Each is taken with its defaults, since defaults are what
runs; two plain FIFOs, as small and as large as in the comparison, tell what the disciplines add.
"""

from __future__ import annotations

import json
import select
import threading
import time
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

import numpy as np

from sentinel_lab.experiment import LOOK_SECONDS, Plan, streams
from sentinel_lab.namespaces import run
from sentinel_lab.scenario import SINGLE
from sentinel_lab.topology import (
    LEAST_TOKENS,
    LINK_TOKENS_S,
    NODE,
    RECEIVER,
    RECEIVER_ADDRESS,
    SENDER,
    SINGLE_BOTTLENECK,
    built,
)
from sentinel_lab.traffic.frames import Batch
from sentinel_lab.traffic.orders import Received, SendOrder
from sentinel_lab.traffic.receiver import ARRIVAL, BATCH, LARGEST_BYTES, arrivals_of, listen
from sentinel_lab.traffic.run import HEAD_START_NS, Outcome
from sentinel_lab.traffic.sender import Source, send

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from sentinel_lab.namespaces import Namespace
    from sentinel_lab.scenario import Scenario

DEVICE: Final = "back"
SHAPER, LEAF = "1:", "10:"
MTU: Final = 1_514
PATIENCE_S: Final = 60.0

TENTH: Final = SINGLE.times(0.1)
"""So that an emulated guest keeps up: a tenth of the packets over a tenth of the link, with a tenth of the memory."""
PATTERN, SECONDS = "periodic", 7.0
PLAN: Final = Plan(TENTH, PATTERN, "static-small", SECONDS)

DISCIPLINES: Final[dict[str, Callable[[Scenario], tuple[str, ...]]]] = {
    "bfifo-small": lambda scenario: ("bfifo", "limit", str(scenario.floor_bytes)),
    "bfifo-large": lambda scenario: ("bfifo", "limit", str(scenario.pool_bytes)),
    "fq": lambda _: ("fq",),
    "fq_codel": lambda _: ("fq_codel",),
    "cake": lambda _: ("cake",),
    "pie": lambda _: ("pie",),
}


@dataclass(frozen=True, slots=True)
class Fate:
    """Of one class's packets. A queue tells its drops of all classes together, so a class's are what never came."""

    name: str
    sent: int
    received: int
    delay_ms_p50: float
    delay_ms_p99: float

    @property
    def drop_percent(self) -> float:
        return 100.0 * (self.sent - self.received) / self.sent if self.sent else 0.0


@dataclass(frozen=True, slots=True)
class Measured:
    """`dropped` is the discipline's own count, of all classes."""

    discipline: str
    classes: tuple[Fate, ...]
    dropped: int
    dirt: tuple[str, ...]

    @property
    def lost(self) -> int:
        return sum(each.sent - each.received for each in self.classes)


def carried_out(plan: Plan, discipline: str) -> Measured:
    """One run; blocks until the queue is empty. `plan.policy` plays no part. Both ends of the traffic are threads of
    this process: an emulated guest takes longer to start one more than to send all packets."""
    scenario = plan.scenario
    with built(SINGLE_BOTTLENECK) as spaces:
        order = SendOrder(
            namespace=spaces[SENDER].name, address=RECEIVER_ADDRESS, seconds=plan.seconds, streams=streams(plan)
        )
        with (
            shaped(spaces[NODE], scenario.drain_bytes_per_s, DISCIPLINES[discipline](scenario)),
            Listener(spaces[RECEIVER], [each.port for each in order.streams]) as listener,
        ):
            with ExitStack() as stack:
                with spaces[SENDER].entered():
                    sources = [
                        stack.enter_context(closing(Source(order, index, stream)))
                        for index, stream in enumerate(order.streams)
                    ]
                send(sources, time.monotonic_ns() + HEAD_START_NS)
            _await_empty(spaces[NODE])
            dropped = int(_queue(spaces[NODE])["drops"])
    sent = tuple(each.result() for each in sources)
    outcome = Outcome(sent, Received(packets=listener.arrivals.size, overflowed=0), listener.arrivals, {}, {})
    return Measured(discipline, tuple(_fates(scenario, outcome)), dropped, tuple(outcome.dirt()))


class Listener:
    """Takes what comes to these ports while its block lasts, and what is still on its way then."""

    def __init__(self, space: Namespace, ports: Sequence[int]) -> None:
        with space.entered():
            self._sockets = [listen(port) for port in ports]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._take, daemon=True)
        self.arrivals = np.zeros(0, ARRIVAL)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        for each in self._sockets:
            each.close()

    def _take(self) -> None:
        batch, kept = Batch(BATCH, LARGEST_BYTES), [self.arrivals]
        while True:
            last = self._stop.is_set()
            ready, _, _ = select.select(self._sockets, [], [], LOOK_SECONDS)
            for each in ready:
                kept.append(arrivals_of(batch, batch.receive(each), time.monotonic_ns()))
            if last and not ready:
                break
        self.arrivals = np.concatenate(kept)


@contextmanager
def shaped(space: Namespace, bytes_per_s: int, leaf: tuple[str, ...]) -> Iterator[None]:
    """The node's way out at this rate, what waits for it in the given discipline."""
    tokens = str(max(LEAST_TOKENS, int(bytes_per_s * LINK_TOKENS_S)))
    rate = ("htb", "rate", f"{bytes_per_s * 8}bit", "burst", tokens, "cburst", tokens, "quantum", str(MTU))
    _tc(space, "qdisc", "add", "dev", DEVICE, "root", "handle", SHAPER, "htb", "default", "1")
    try:
        _tc(space, "class", "add", "dev", DEVICE, "parent", SHAPER, "classid", f"{SHAPER}1", *rate)
        _tc(space, "qdisc", "add", "dev", DEVICE, "parent", f"{SHAPER}1", "handle", LEAF, *leaf)
        yield
    finally:
        _tc(space, "qdisc", "del", "dev", DEVICE, "root")


def _await_empty(space: Namespace) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while _queue(space)["backlog"] and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)
    time.sleep(LOOK_SECONDS)  # the last packet is on its way to the receiver


def _queue(space: Namespace) -> Mapping[str, Any]:
    told = json.loads(_tc(space, "-s", "-j", "qdisc", "show", "dev", DEVICE))
    found: Mapping[str, Any] = next(each for each in told if each.get("handle") == LEAF)
    return found


def _fates(scenario: Scenario, outcome: Outcome) -> Iterator[Fate]:
    for each in scenario.classes:
        delays = [outcome.delay_ms(each.port, quantile) for quantile in (0.5, 0.99)]
        yield Fate(each.name, outcome.sent_to(each.port).sent, int(np.size(outcome.to(each.port))), *delays)


def _tc(space: Namespace, *arguments: str) -> str:
    return run("tc", "-n", space.name, *arguments)
