"""New flows on real packets: the shipped balancer by room and, with its control plane dead, by the ring alone.

Of three nodes one is three quarters busy with traffic that has no choice. Then flow after flow begins, and asks in the
end for four fifths of what is left. Whichever way they are placed, the program in the kernel is the same.
"""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

import click
import numpy as np

from sentinel_lab.failover import plan
from sentinel_lab.failover.load import flows
from sentinel_lab.failover.stage import staged
from sentinel_lab.topology import RECEIVER, SENDER

if TYPE_CHECKING:
    from sentinel_lab.failover.stage import Stage

WAYS: Final = ("readiness", "maglev")
NODES: Final = 3
NODE_BITS: Final = 4_000_000
BUSY_FLOWS, FREE_FLOWS = 7, 17
"""At 0.42 Mbit/s each, headers counted: 2.9 of the busy node's 4, and 7.1 of the 9.1 that are left of twelve."""
APART_S: Final = 0.2
SOON_S: Final = 0.01
WINDOW_S: Final = 5.0
AGED_S: Final = 1.0
"""After so long no room that was told still counts: twice what it lives."""
ROUNDS, QUICK_ROUNDS = 6, 2
RESAMPLED: Final = 4000


def live(rounds: int) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """In turn, on one stage; other client ports each time, so that the ring spreads them anew."""
    busy = {
        "address": plan.VIP, "port": plan.OTHER_PORT, "protocol": "UDP", "backends": [plan.node_name("node1")],
    }  # fmt: skip
    found: dict[str, list[dict[str, float]]] = {way: [] for way in WAYS}
    with staged(NODES, rate_bits=NODE_BITS, vips=[busy]) as stage, ExitStack() as stack:
        stack.enter_context(flows(stage.spaces[SENDER], stage.spaces[RECEIVER], BUSY_FLOWS, SOON_S, plan.OTHER_PORT))
        time.sleep(AGED_S)
        for turn in range(rounds):
            for way in WAYS if turn % 2 == 0 else WAYS[::-1]:
                found[way].append(one(stage, way))
                click.echo(f"{time.strftime('%H:%M:%S')} namespaces, {way}: {found[way][-1]}", err=True)
    return figures(found), [rows(way, each) for way, each in found.items()]


def one(stage: Stage, way: str) -> dict[str, float]:
    if way == "maglev":
        stage.balancer.kill()
        time.sleep(AGED_S)
    try:
        with flows(stage.spaces[SENDER], stage.spaces[RECEIVER], FREE_FLOWS, APART_S) as filled:
            time.sleep(FREE_FLOWS * APART_S)
            sent, arrived, waited = filled.sent, filled.arrived, len(filled.waits_ns)
            time.sleep(WINDOW_S)
            waits = filled.waits_ns[waited:]
            share = 1 - (filled.arrived - arrived) / (filled.sent - sent)
    finally:
        if way == "maglev":
            stage.balancer.start()
            stage.await_ready()
    return {"drop_share": share, "p99_ms": float(np.percentile(waits, 99)) / 1e6}


def figures(found: dict[str, list[dict[str, float]]]) -> dict[str, float]:
    metrics = {f"namespaces.drops_{way}": float(np.mean(_column(each, "drop_share"))) for way, each in found.items()}
    return metrics | {
        f"namespaces.p99_ms_{way}": float(np.mean(_column(each, "p99_ms"))) for way, each in found.items()
    }


def rows(way: str, each: list[dict[str, float]]) -> dict[str, Any]:
    """With 95 % intervals of the means over the rounds."""
    row: dict[str, Any] = {"where": "namespaces", "policy": way, "rounds": len(each), "load": os.getloadavg()[0]}
    for name in ("drop_share", "p99_ms"):
        row[name] = _column(each, name)
        row[f"{name}_interval"] = interval(row[name])
    return row


def interval(values: list[float]) -> tuple[float, float]:
    drawn = np.random.default_rng(1).choice(values, (RESAMPLED, len(values))).mean(axis=1)
    low, high = np.percentile(drawn, (2.5, 97.5))
    return float(low), float(high)


def _column(each: list[dict[str, float]], name: str) -> list[float]:
    return [one[name] for one in each]
