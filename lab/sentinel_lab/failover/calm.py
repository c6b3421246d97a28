"""Nobody dies: how often the balancer takes a living node for dead meanwhile, on good wires or on bad ones."""

from __future__ import annotations

import json
import re
import time
import urllib.request
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sentinel_lab.failover import plan
from sentinel_lab.failover.trial import flowing
from sentinel_lab.failover.wire import bad_wires

if TYPE_CHECKING:
    from sentinel_lab.failover.stage import Stage
    from sentinel_lab.failover.wire import Badness

PACKETS_PER_S: Final = 200
METRICS: Final = "http://127.0.0.1:9467/metrics"
SETTLING_S: Final = 5.0
LOOK_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Calm:
    """`moved` counts packets of flows that the kernel found a new node for; the others, what was said of nodes."""

    seconds: float
    moved: int
    dead: int
    doubted: int


def watched(stage: Stage, seconds: float, badness: Badness | None) -> Calm:
    wires = bad_wires(stage.spaces[plan.FRONT_SWITCH], stage.nodes, badness) if badness else nullcontext()
    with wires, flowing(stage, PACKETS_PER_S) as stream:
        time.sleep(SETTLING_S)
        stream.start()
        began_s, moved, said = time.monotonic(), _moved(stage), len(_said(stage))
        while time.monotonic() - began_s < seconds:
            time.sleep(LOOK_S)
            stage.states()  # raises when a process ended
        found = _said(stage)[said:]
        return Calm(
            seconds=time.monotonic() - began_s,
            moved=_moved(stage) - moved,
            dead=found.count("dead"),
            doubted=sum(state != "ready" for state in found),
        )


def _said(stage: Stage) -> list[str]:
    """Each change of a node's state so far."""
    lines = (json.loads(line) for line in stage.balancer.said().splitlines() if line.startswith("{"))
    return [line["state"] for line in lines if line["event"] == "backend_state"]


def _moved(stage: Stage) -> int:
    with stage.spaces[plan.EDGE].entered(), urllib.request.urlopen(METRICS, timeout=60.0) as answer:
        text = answer.read().decode()
    counted = re.search(r'sentinel_lb_packets_total\{reason="moved"\} (\S+)', text)
    return int(float(counted[1])) if counted else 0
