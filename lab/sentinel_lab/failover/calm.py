"""Nobody dies: how often the balancer takes a living node for dead meanwhile, on good wires or on bad ones."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sentinel_lab.failover import plan
from sentinel_lab.failover.trial import flowing
from sentinel_lab.failover.wire import Stall, bad_wires, stalls

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sentinel_lab.failover.stage import Stage
    from sentinel_lab.failover.wire import Badness

PACKETS_PER_S: Final = 200
METRICS: Final = "http://127.0.0.1:9467/metrics"
SETTLING_S: Final = 5.0
LOOK_S: Final = 5.0
SPINNING: Final = """
import os
os.nice(19)
parent = os.getppid()
while os.getppid() == parent:  # when whoever started it is gone, so is it
    pass
"""
FLEETING: Final = ("dead", "ready")
"""Of the balancer's words on a node, those that tell when it was wrong, and until when."""


@dataclass(frozen=True, slots=True)
class Word:
    """A change of a node's state, as the balancer logged it."""

    at: str
    node: str
    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class Calm:
    """`moved` counts packets of flows that the kernel found a new node for; `lost` is of `sent`, on good wires the
    product's doing; `stalls` are instants in which the bad wire itself stood still, so that all were silent."""

    seconds: float
    moved: int
    words: tuple[Word, ...]
    sent: int
    lost: int
    dirt: str
    stalls: tuple[Stall, ...]
    loads: tuple[float, ...]

    @property
    def dead(self) -> tuple[Word, ...]:
        return tuple(each for each in self.words if each.state == "dead")

    @property
    def doubted(self) -> int:
        return sum(each.state != "ready" for each in self.words)


def watched(stage: Stage, seconds: float, badness: Badness | None) -> Calm:
    """Ended early by a signal it tells what was seen until then."""
    late = stage.folder / "wire.stalls"
    wires = bad_wires(stage.spaces[plan.FRONT_SWITCH], stage.nodes, badness, late) if badness else nullcontext()
    with wires, flowing(stage, PACKETS_PER_S) as stream:
        time.sleep(SETTLING_S)
        stream.start()
        began_ns, moved, said = time.monotonic_ns(), _moved(stage), len(_said(stage))
        loads = tuple(_looked(stage, seconds))
        found = _said(stage)[said:]
        lasted_s, moved_since = (time.monotonic_ns() - began_ns) / 1e9, _moved(stage) - moved
        trial = stream.judged(began_ns)
    return Calm(
        seconds=lasted_s,
        moved=moved_since,
        words=tuple(found),
        sent=trial.outage.sent,
        lost=trial.outage.lost,
        dirt=trial.dirt,
        stalls=stalls(late),
        loads=loads,
    )


def figures(calm: Calm) -> dict[str, float]:
    return {
        "calm.seconds": calm.seconds,
        "calm.false_dead": float(len(calm.dead)),
        "calm.moved_packets": float(calm.moved),
        "calm.doubted": float(calm.doubted),
        "calm.sent_packets": float(calm.sent),
        "calm.lost_packets": float(calm.lost),
        "calm.load_mean": sum(calm.loads) / len(calm.loads) if calm.loads else os.getloadavg()[0],
        "calm.load_max": max(calm.loads, default=os.getloadavg()[0]),
        "calm.wire_stalls": float(len(calm.stalls)),
    }


def told(calm: Calm) -> list[dict[str, Any]]:
    """Each *dead* and the *ready* after it; and where the bad wire stood still, against which a false one is held."""
    words = [
        {"what": "said", "at": each.at, "node": each.node, "state": each.state, "reason": each.reason}
        for each in calm.words
        if each.state in FLEETING
    ]
    return [*words, *({"what": "wire stood still", "at": each.at, "ms": each.ms} for each in calm.stalls)]


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """So many processes that take what CPU nobody else wants: then no processor is ever idle."""
    running = [subprocess.Popen([sys.executable, "-c", SPINNING]) for _ in range(processes)]
    try:
        yield
    finally:
        for each in running:
            each.kill()
            each.wait()


def _looked(stage: Stage, seconds: float) -> Iterator[float]:
    """The machine's load, once a look, as long as every process lives."""
    deadline_s = time.monotonic() + seconds
    try:
        while (left_s := deadline_s - time.monotonic()) > 0:
            time.sleep(min(LOOK_S, left_s))
            stage.states()  # raises when a process ended
            yield os.getloadavg()[0]
    except (KeyboardInterrupt, SystemExit):
        return


def _said(stage: Stage) -> list[Word]:
    """Each change of a node's state so far."""
    lines = (json.loads(line) for line in stage.balancer.said().splitlines() if line.startswith("{"))
    return [
        Word(line["timestamp"], line["backend"], line["state"], line["reason"])
        for line in lines
        if line["event"] == "backend_state"
    ]


def _moved(stage: Stage) -> int:
    with stage.spaces[plan.EDGE].entered(), urllib.request.urlopen(METRICS, timeout=60.0) as answer:
        text = answer.read().decode()
    counted = re.search(r'sentinel_lb_packets_total\{reason="moved"\} (\S+)', text)
    return int(float(counted[1])) if counted else 0
