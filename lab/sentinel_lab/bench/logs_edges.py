"""What balancer and operator write, phase by phase: the product's processes beside what the tests build for them."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sentinel_lab.bench import operator
from sentinel_lab.bench.operator_fleet import Fleet, kubelets, session

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

NODES: Final = ("node1", "node2")
PERIOD_S, BURST_S = 5.0, 1.0
FLEET: Final = 3
CAPACITY, DEMAND, MORE = 100_000_000, 30_000_000, 150_000_000

Phase = tuple[str, float, dict[str, Any]]
"""Its name, how long it took, and what happened in it."""


class Written:
    """A log that grows: what came since the last time."""

    def __init__(self, path: Path) -> None:
        self._path, self._told = path, 0

    def since(self) -> bytes:
        found = self._path.read_bytes()[self._told :]
        self._told += len(found)
        return found


def balancer(level: str, seconds: float) -> Iterator[tuple[Phase, bytes]]:
    """Between a client and two nodes: at rest, then under flows that begin as fast as one client can open them."""
    sys.path.insert(0, str(operator.TESTS))
    labs = import_module("support.lb_lab")
    with tempfile.TemporaryDirectory(prefix="sentinel-lab-") as folder, labs.lab(Path(folder)) as built:
        process = built.balancers["lb1"]
        process.env["SENTINEL_LOG_LEVEL"] = level
        process.start()
        labs.wait_until(lambda: built.states() == dict.fromkeys(NODES, "ready"), "both nodes are ready")
        written = Written(process.log)
        yield ("start", 0.0, {}), written.since()
        time.sleep(seconds)
        yield ("rest", seconds, {}), written.since()
        flows = _flows(labs.echoed, built, seconds)
        yield ("bursts", seconds, {"flows": flows}), written.since()


def _flows(echoed: Callable[[Any], bytes], built: Any, seconds: float) -> int:
    begun, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        over = time.monotonic() + BURST_S
        while time.monotonic() < over:
            with suppress(OSError), built.datagrams() as few:
                echoed(few)
                begun += 1
        time.sleep(max(0.0, min(PERIOD_S - BURST_S, end - time.monotonic())))
    return begun


async def of_operator(seconds: float) -> AsyncIterator[tuple[Phase, bytes]]:
    """With three nodes that report: at rest, then while their demand jumps up and down."""
    with (
        tempfile.TemporaryDirectory(prefix="sentinel-bench-") as name,
        operator.control_plane(folder := Path(name)) as found,
        kubelets(found.kwok, found.admin, folder / "kwok.log"),
    ):
        async with session(found.token, found.ca) as door:
            fleet = Fleet(door, found.url, FLEET, DEMAND)
            await fleet.make_nodes()
            await fleet.make_cluster(CAPACITY)
            async with operator.running(found, folder, "first"):
                await operator.until(lambda: operator.ordered(fleet), "orders for all nodes")
                await fleet.learn_orders()
                await fleet.report_all()
                await operator.until(lambda: operator.all_ready(fleet), "all nodes ready")
                written = Written(folder / "first.log")
                yield ("start", 0.0, {}), written.since()
                for phase, demands in (("rest", (DEMAND,)), ("bursts", (MORE, DEMAND))):
                    reports = await _reporting(fleet, demands, seconds)
                    yield (phase, seconds, {"reports": reports}), written.since()


async def _reporting(fleet: Fleet, demands: tuple[int, ...], seconds: float) -> int:
    """At the pace that the operator publishes."""
    sent, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        fleet.demand = demands[sent % len(demands)]
        await fleet.report_all()
        sent += 1
        await asyncio.sleep(max(0.0, min(fleet.report_seconds, end - time.monotonic())))
    return sent * fleet.size


def operator_phases(seconds: float) -> list[tuple[Phase, bytes]]:
    async def all_of() -> list[tuple[Phase, bytes]]:
        return [each async for each in of_operator(seconds)]

    return asyncio.run(all_of())
