"""`sentinel bench operator`: what a thousand reporting nodes cost the operator, against a real API server."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sentinel_api.errors import Unsupported
from sentinel_lab.bench.operator_fleet import Fleet, kubelets, session
from sentinel_lab.bench.output import tell

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

SIZES, QUICK_SIZES = (1000, 5000), (1000,)
STEADY_S, QUICK_STEADY_S = 120.0, 25.0
REPORTS_PER_S = 25.0  # the whole budget of writes; agents that keep to the published pace send less
DEMAND = 30_000_000
JUMPS = (60_000_000, 90_000_000, 120_000_000)  # the longest answer of them counts: each meets the interval elsewhere
ONE_JUMP_ABOVE = 1000  # nodes, whose reports alone take a quarter of a minute each time
CAPACITY = 100_000_000
PATIENCE_S = 300.0
TESTS = Path(__file__).parents[3] / "tests"


@dataclass(frozen=True, slots=True)
class Plane:
    """What `support.operator_plane` printed."""

    url: str
    token: str
    ca: str
    admin: str
    operator: str
    kwok: str
    namespace: str


@dataclass(slots=True)
class Watched:
    """The operator's process, as the kernel accounts for it."""

    process: subprocess.Popen[bytes]
    peak_kib: int = field(default=0)

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def look(self) -> None:
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        now = next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
        self.peak_kib = max(self.peak_kib, now)


@click.command()
@click.option("--quick", is_flag=True, help="1000 nodes only, and not for long.")
@click.option("--size", "sizes", type=click.IntRange(1, 5000), multiple=True, help="So many nodes instead.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def operator(quick: bool, sizes: tuple[int, ...], as_json: bool) -> None:
    """Measure the operator with 1000 (and 5000) reporting BufferNodes. Needs a checkout with `make tools` done.

    \b
    Examples:
      sentinel bench operator --quick --json
      sentinel bench operator --quick --size 5000 --json
    """
    metrics: dict[str, float] = {}
    for size in sizes or (QUICK_SIZES if quick else SIZES):
        click.echo(f"{size} nodes", err=True)
        found = asyncio.run(_measured(size, QUICK_STEADY_S if quick else STEADY_S))
        metrics |= {f"{name}_{size}": round(value, 3) for name, value in found.items()}
    metrics["load_average"] = round(os.getloadavg()[0], 2)
    tell("operator", metrics, [], as_json=as_json)


async def _measured(size: int, steady_s: float) -> dict[str, float]:
    with (
        tempfile.TemporaryDirectory(prefix="sentinel-bench-") as folder,
        control_plane(Path(folder)) as plane,
        kubelets(plane.kwok, plane.admin, Path(folder) / "kwok.log", size),
    ):
        async with session(plane.token, plane.ca) as door:
            fleet = Fleet(door, plane.url, size, DEMAND)
            await fleet.make_nodes()
            await fleet.make_cluster(CAPACITY)
            spread_s = await _spread(plane, fleet, Path(folder))
            async with running(plane, Path(folder), "first") as watched:
                began = time.monotonic()
                last = (await fleet.status())["scaling"]["observedAt"]
                await until(lambda: _decided_after(fleet, last), "the first decision")
                started_s = time.monotonic() - began
                return {
                    "rollout_s": spread_s,
                    "start_s": started_s,
                    **await _steady(fleet, watched, steady_s),
                    "decision_s": max(
                        [await _jump(fleet, demand) for demand in JUMPS[: 1 if size > ONE_JUMP_ABOVE else None]]
                    ),
                    "rss_mib": watched.peak_kib / 1024,
                    **await _handover(plane, fleet, Path(folder), watched),
                }


async def _spread(plane: Plane, fleet: Fleet, folder: Path) -> float:
    """From no order at all to all nodes ready, by an operator that is gone afterwards; its Lease is given up."""
    began = time.monotonic()
    async with running(plane, folder, "before"):
        await until(lambda: ordered(fleet), "orders for all nodes")
        spread_s = time.monotonic() - began
        await fleet.learn_orders()
        await fleet.report_all()
        await until(lambda: all_ready(fleet), "all nodes ready")
    await fleet.ask("DELETE", _lease(plane))
    return spread_s


async def _handover(plane: Plane, fleet: Fleet, folder: Path, leader: Watched) -> dict[str, float]:
    """From the leader's SIGKILL until the other replica, which waited for the Lease, has it and has decided."""
    async with running(plane, folder, "second"):
        await until(lambda: _waits(folder / "second.log"), "the second replica")
        leader.process.kill()
        killed, last = time.monotonic(), (await fleet.status())["scaling"]["observedAt"]
        await until(lambda: _held_by(plane, fleet, "second"), "the new leader")
        led_s = time.monotonic() - killed
        await until(lambda: _decided_after(fleet, last), "its first decision")
        return {"leads_s": led_s, "decides_s": time.monotonic() - killed}


def _lease(plane: Plane) -> str:
    return f"/apis/coordination.k8s.io/v1/namespaces/{plane.namespace}/leases/sentinel-operator"


async def _waits(log: Path) -> bool:
    return "lease_wanted" in log.read_text()


async def _held_by(plane: Plane, fleet: Fleet, name: str) -> bool:
    return bool((await fleet.ask("GET", _lease(plane)))["spec"]["holderIdentity"] == name)


async def _steady(fleet: Fleet, watched: Watched, seconds: float) -> dict[str, float]:
    """What it takes at the most events that may come, and how many writes there are at the pace that it publishes."""
    await asyncio.sleep(5)  # the start is over by then
    cpu_s = watched.cpu_s()
    sent, _, passed = await _reported(fleet, watched, REPORTS_PER_S, seconds)
    spent_s = watched.cpu_s() - cpu_s
    published, writes, slower = await _reported(fleet, watched, fleet.size / fleet.report_seconds, seconds)
    return {
        "cpu_percent": 100 * spent_s / passed,
        "events_per_s": sent / passed,
        "report_seconds": fleet.report_seconds,
        "reports_per_s": published / slower,
        "writes_per_s": writes / slower,
    }


async def _reported(fleet: Fleet, watched: Watched, per_s: float, seconds: float) -> tuple[int, int, float]:
    """Reports sent evenly, the API server's count of writes meanwhile, and the seconds that it took."""
    before, began, sent = await fleet.writes(), time.monotonic(), 0
    while (passed := time.monotonic() - began) < seconds:
        while sent < passed * per_s:
            await fleet.report(fleet.names[sent % fleet.size])
            sent += 1
        watched.look()
        await asyncio.sleep(0.02)
    return sent, await fleet.writes() - before, passed


async def _jump(fleet: Fleet, demand: int) -> float:
    """From the last report that carries the jump to the decision that knows all of it."""
    fleet.demand = demand
    await fleet.report_all()
    began = time.monotonic()
    await until(lambda: _knows(fleet, fleet.size * demand), "the decision after the jump")
    return time.monotonic() - began


async def _decided_after(fleet: Fleet, last: str) -> bool:
    return bool((await fleet.status())["scaling"].get("observedAt") != last)


async def _knows(fleet: Fleet, demand: int) -> bool:
    return bool((await fleet.status())["scaling"]["demandP95BytesPerSecond"] >= demand)


async def ordered(fleet: Fleet) -> bool:
    return await fleet.orders() == fleet.size


async def all_ready(fleet: Fleet) -> bool:
    status = await fleet.status()
    return status.get("readyNodes") == fleet.size and bool(status.get("scaling", {}).get("observedAt"))


async def until(holds: Callable[[], Awaitable[bool]], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not await holds():
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited {PATIENCE_S:.0f} s for {what}")
        await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def running(plane: Plane, folder: Path, name: str) -> AsyncIterator[Watched]:
    env: dict[str, Any] = {
        **os.environ,
        "KUBECONFIG": plane.operator,
        "SENTINEL_AGENT_IMAGE": "sentinel.test/agent:1",
        "SENTINEL_NAMESPACE": plane.namespace,
        "SENTINEL_POD_NAME": name,
        "SENTINEL_HEALTH_PORT": str(_free_port()),
        "SENTINEL_METRICS_PORT": str(_free_port()),
    }
    with (folder / f"{name}.log").open("ab") as log:
        process = subprocess.Popen([sys.executable, "-m", "sentinel_operator"], env=env, stdout=log, stderr=log)
    try:
        yield Watched(process)
    except RuntimeError as error:
        error.add_note((folder / f"{name}.log").read_text()[-2000:])
        raise
    finally:
        process.terminate()
        process.wait(30)


@contextlib.contextmanager
def control_plane(folder: Path) -> Iterator[Plane]:
    if not TESTS.is_dir():
        raise Unsupported("bench operator starts the API server that the tests use: run it in a checkout")
    command = [sys.executable, "-m", "support.operator_plane", str(folder / "plane")]
    (folder / "plane").mkdir()
    with subprocess.Popen(command, cwd=TESTS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise Unsupported("the API server did not start: see above, and run `make tools` first")
        try:
            yield Plane(**json.loads(line))
        finally:
            process.stdin.close()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as held:
        return int(held.getsockname()[1])
