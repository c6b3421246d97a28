"""New flows on real packets: the shipped balancer by room, and beside it what others would choose.

Three nodes that run the product's agents. One of them is three quarters busy with traffic that nobody places; flows of
two seconds begin and end, and ask for four fifths of what is left. A rival chooses a node by what such a balancer
knows, and its flow goes to a port of the same address that only this node serves: the same programs carry it.
"""

from __future__ import annotations

import json
import os
import threading
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click
import numpy as np

from sentinel_lab.failover import plan
from sentinel_lab.failover.load import TICK_S
from sentinel_lab.failover.passing import Passing, passed
from sentinel_lab.failover.stage import staged
from sentinel_lab.sim.placements import POLICIES, ring_of
from sentinel_lab.topology import RECEIVER, SENDER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sentinel_lab.failover.stage import Stage

OURS: Final = "readiness"
NODES: Final = 3
NODE_BITS: Final = 4_000_000
LOCAL_FLOWS: Final = 7
FLOW_S: Final = 2.0
FLOWS_A_SECOND: Final = 8.5
"""At 0.42 Mbit/s each, headers counted: local 2.9 of the busy node's 4, and 7.1 of the 9.1 that are left of twelve."""
SECONDS, QUICK_SECONDS = 16.0, 8.0
ROUNDS, QUICK_ROUNDS = 6, 1
LOOK_S: Final = 0.5
AGENT: Final = "http://127.0.0.1:9466/debug/state"
RESAMPLED: Final = 4000
MEASURES: Final = ("drop_share", "p99_ms", "held_bytes", "granted_bytes")


@dataclass(frozen=True, slots=True)
class Scenario:
    """`moves_s`: after so long another node is the busy one. `burst`: how many times as many flows begin, one second in
    four."""

    moves_s: float = 0.0
    burst: float = 1.0


SCENARIOS: Final = {"skewed": Scenario(), "moving_bursts": Scenario(moves_s=4.0, burst=3.0)}


def live(rounds: int, seconds: float) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """In turn on one stage: every policy meets a round's traffic, and each round has its own."""
    vips = [
        {"address": plan.VIP, "port": port(node), "protocol": "UDP", "backends": [plan.node_name(name)]}
        for node, name in enumerate(plan.names(NODES))
        for port in (plan.placed_port, plan.local_port)
    ]
    found: dict[tuple[str, str], list[dict[str, float]]] = {(s, p): [] for s in SCENARIOS for p in POLICIES}
    began = int(time.time())
    with staged(NODES, rate_bits=NODE_BITS, vips=vips) as stage:
        for turn in range(rounds):
            for scenario, told in SCENARIOS.items():
                flows = traffic(told, began + turn, seconds)
                for policy in np.random.default_rng(turn).permutation(list(POLICIES)).tolist():
                    found[scenario, policy].append(one(stage, policy, flows, began + turn))
                    click.echo(
                        f"{time.strftime('%H:%M:%S')} {scenario}, {policy}: {found[scenario, policy][-1]}", err=True
                    )
    return figures(found), [row(*names, each, found[names[0], OURS]) for names, each in found.items()]


def traffic(scenario: Scenario, seed: int, seconds: float) -> Passing:
    random = np.random.default_rng(seed)
    ticks = round(seconds / TICK_S)
    at_s = np.arange(ticks) * TICK_S
    rate = FLOWS_A_SECOND * np.where(at_s % 4.0 < 1.0, scenario.burst, 1.0) / (1 + (scenario.burst - 1) / 4)
    first = np.repeat(np.arange(ticks), random.poisson(rate * TICK_S))
    lasts = np.maximum(1, random.exponential(FLOW_S / TICK_S, len(first))).astype(np.int64)
    key = random.integers(0, 2**63, len(first), np.uint64)
    busy = (at_s // scenario.moves_s).astype(np.int64) % NODES if scenario.moves_s else np.zeros(ticks, np.int64)
    return Passing(first, np.minimum(first + lasts, ticks), key, busy, LOCAL_FLOWS)


def one(stage: Stage, policy: str, flows: Passing, seed: int) -> dict[str, float]:
    placement = None if policy == OURS else POLICIES[policy](ring_of(NODES), NODES, seed)
    with memory(stage) as looked:
        carried = passed(stage.spaces[SENDER], stage.spaces[RECEIVER], flows, placement, NODES)
    held, granted = np.mean(looked, axis=0)
    return {
        "drop_share": carried.drop_share,
        "p99_ms": float(np.percentile(carried.waits_ns, 99)) / 1e6,
        "held_bytes": float(held),
        "granted_bytes": float(granted),
    }


@contextmanager
def memory(stage: Stage) -> Iterator[list[tuple[int, int]]]:
    """Bytes that all nodes hold, and that their queues are allowed, every half second."""
    looked: list[tuple[int, int]] = []
    ended = threading.Event()

    def look() -> None:
        while not ended.wait(LOOK_S):
            pools = [_pool(stage, node) for node in stage.nodes]
            looked.append((sum(each["heldBytes"] for each in pools), sum(each["grantedBytes"] for each in pools)))

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    try:
        yield looked
    finally:
        ended.set()
        looking.join()


def _pool(stage: Stage, node: str) -> dict[str, int]:
    with stage.spaces[node].entered(), urllib.request.urlopen(AGENT, timeout=10.0) as answer:
        found: dict[str, int] = json.load(answer)["pool"]
        return found


def figures(found: dict[tuple[str, str], list[dict[str, float]]]) -> dict[str, float]:
    return {
        f"namespaces.{scenario}.{measure}_{policy}": float(np.mean([each[measure] for each in rounds]))
        for (scenario, policy), rounds in found.items()
        for measure in MEASURES
    }


def row(scenario: str, policy: str, rounds: list[dict[str, float]], ours: list[dict[str, float]]) -> dict[str, Any]:
    """With 95 % intervals of the means over the rounds, and of what a rival drops more in the same round."""
    found: dict[str, Any] = {"where": "namespaces", "scenario": scenario, "policy": policy, "rounds": len(rounds)}
    for measure in MEASURES:
        found[measure] = [each[measure] for each in rounds]
        found[f"{measure}_95"] = interval(found[measure])
    more = [each["drop_share"] - mine["drop_share"] for each, mine in zip(rounds, ours, strict=True)]
    return found | {"more_than_ours_95": interval(more), "load": os.getloadavg()[0]}


def interval(values: list[float]) -> tuple[float, float]:
    drawn = np.random.default_rng(1).choice(values, (RESAMPLED, len(values))).mean(axis=1)
    low, high = np.percentile(drawn, (2.5, 97.5))
    return float(low), float(high)
