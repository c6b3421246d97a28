"""`sentinel bench logs`: how much agent, balancer and operator write at rest, under bursts, and with all levels on."""

from __future__ import annotations

import json
import os
import socket
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from sentinel_lab.bench import logs_edges
from sentinel_lab.bench.output import tell
from sentinel_lab.namespaces import require_root
from sentinel_lab.product import AgentProcess
from sentinel_lab.scenario import SINGLE
from sentinel_lab.topology import NODE, RECEIVER_ADDRESS, SENDER, SINGLE_BOTTLENECK, built

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sentinel_lab.namespaces import Namespace

SECONDS, QUICK_SECONDS = 20.0, 10.0
PARTS: Final = ("agent", "balancer", "operator")
PERIOD_S, BURST_S = 5.0, 1.0
DATAGRAM: Final = bytes(1400)
HOUR_S: Final = 3600.0


@click.command()
@click.option("--quick", is_flag=True, help=f"{QUICK_SECONDS:.0f} seconds a phase instead of {SECONDS:.0f}.")
@click.option(
    "--of", "parts", type=click.Choice(PARTS), multiple=True, default=PARTS[:1], help="Whose; may be repeated."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def logs(quick: bool, parts: tuple[str, ...], as_json: bool) -> None:
    """The product's processes in namespaces: bytes and lines that each writes, by phase, and in an hour.

    Repeats are left out where lines are made: a fault that comes back writes three lines a minute of its kind. The
    balancer needs a checkout, the operator one with `make tools` done.

    \b
    Examples:
      sudo sentinel bench logs --json
      sudo sentinel bench logs --of agent --of balancer --of operator --json
    """
    require_root()
    metrics, rows = measured(QUICK_SECONDS if quick else SECONDS, parts)
    tell("logs", metrics, rows, as_json=as_json)


def measured(seconds: float, parts: Sequence[str] = PARTS[:1]) -> tuple[dict[str, float], list[dict[str, Any]]]:
    rows = [row for part in parts for row in _rows(part, seconds)]
    metrics = {
        f"{row['of']}_{row['level']}_{row['phase']}_bytes{'_an_hour' if row['seconds'] else ''}".lower(): float(
            row["bytesAnHour"] if row["seconds"] else row["bytes"]
        )
        for row in rows
    }
    return metrics | {"load_1min": os.getloadavg()[0]}, rows


def _rows(part: str, seconds: float) -> Iterator[dict[str, Any]]:
    if part == "operator":  # it has no levels: it writes what others write at Info
        yield from (_row(part, "Info", *each) for each in logs_edges.operator_phases(seconds))
        return
    phases = _agent if part == "agent" else logs_edges.balancer
    for level in ("Info", "Debug"):
        yield from (_row(part, level, *each) for each in phases(level, seconds))


def _agent(level: str, seconds: float) -> Iterator[tuple[logs_edges.Phase, bytes]]:
    with built(SINGLE_BOTTLENECK) as spaces, tempfile.TemporaryDirectory(prefix="sentinel-lab-") as folder:
        written = logs_edges.Written(Path(folder) / "agent.log")
        with AgentProcess(spaces[NODE], SINGLE, Path(folder), environment={"SENTINEL_LOG_LEVEL": level}) as agent:
            yield ("start", 0.0, {}), written.since()
            time.sleep(seconds)
            agent.check()
            yield ("rest", seconds, {}), written.since()
            sent = _bursts(spaces[SENDER], seconds)
            agent.check()
            yield ("bursts", seconds, {"datagrams": sent}), written.since()


def _row(part: str, level: str, phase: logs_edges.Phase, written: bytes) -> dict[str, Any]:
    name, seconds, more = phase
    an_hour = {"bytesAnHour": len(written) * HOUR_S / seconds} if seconds else {}
    counted = {"bytes": len(written), "lines": written.count(b"\n"), "events": _events(written)}
    return {"of": part, "level": level, "phase": name, "seconds": seconds, **counted, **an_hour, **more}


def _events(written: bytes) -> dict[str, int]:
    """How often each was told; a line that is no JSON is its own name."""
    return dict(Counter(_event(line) for line in written.decode(errors="replace").splitlines()))


def _event(line: str) -> str:
    try:
        return str(json.loads(line)["event"])
    except (ValueError, KeyError, TypeError):
        return line[:60]


def _bursts(sender: Namespace, seconds: float) -> int:
    """As fast as one thread can, for a fifth of the time: far above the node's rate."""
    address, sent, end = (RECEIVER_ADDRESS, SINGLE.classes[0].port), 0, time.monotonic() + seconds
    with sender.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        while time.monotonic() < end:
            over = time.monotonic() + BURST_S
            while time.monotonic() < over:
                out.sendto(DATAGRAM, address)
                sent += 1
            time.sleep(max(0.0, min(PERIOD_S - BURST_S, end - time.monotonic())))
    return sent
