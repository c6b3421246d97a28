"""`sentinel bench logs`: how much a node's agent writes at rest, under bursts, and with every level switched on."""

from __future__ import annotations

import os
import socket
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from sentinel_lab.bench.output import tell
from sentinel_lab.namespaces import require_root
from sentinel_lab.product import AgentProcess
from sentinel_lab.scenario import SINGLE
from sentinel_lab.topology import NODE, RECEIVER_ADDRESS, SENDER, SINGLE_BOTTLENECK, built

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sentinel_lab.namespaces import Namespace

SECONDS, QUICK_SECONDS = 60.0, 10.0
PERIOD_S, BURST_S = 5.0, 1.0
DATAGRAM: Final = bytes(1400)
HOUR_S: Final = 3600.0


@click.command()
@click.option("--quick", is_flag=True, help=f"{QUICK_SECONDS:.0f} seconds a phase instead of {SECONDS:.0f}.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def logs(quick: bool, as_json: bool) -> None:
    """The product's agent in a namespace: bytes and lines that it writes, by phase, and what that makes in an hour.

    Repeats are left out where lines are made: a fault that comes back writes three lines a minute of its kind.

    \b
    Example:
      sudo sentinel bench logs --json
    """
    require_root()
    metrics, rows = measured(QUICK_SECONDS if quick else SECONDS)
    tell("logs", metrics, rows, as_json=as_json)


def measured(seconds: float) -> tuple[dict[str, float], list[dict[str, Any]]]:
    rows = [row for level in ("Info", "Debug") for row in _phases(level, seconds)]
    timed = [row for row in rows if row["phase"] != "start"]
    metrics = {f"{row['level']}_{row['phase']}_bytes_an_hour".lower(): row["bytesAnHour"] for row in timed}
    starts = {f"{row['level']}_start_bytes".lower(): float(row["bytes"]) for row in rows if row["phase"] == "start"}
    return metrics | starts | {"load_1min": os.getloadavg()[0]}, rows


def _phases(level: str, seconds: float) -> Iterator[dict[str, Any]]:
    with built(SINGLE_BOTTLENECK) as spaces, tempfile.TemporaryDirectory(prefix="sentinel-lab-") as folder:
        log = Path(folder) / "agent.log"
        with AgentProcess(spaces[NODE], SINGLE, Path(folder), environment={"SENTINEL_LOG_LEVEL": level}) as agent:
            started = log.read_bytes()
            yield {"level": level, "phase": "start", "bytes": len(started), "lines": started.count(b"\n")}
            time.sleep(seconds)
            agent.check()
            rested = log.read_bytes()[len(started) :]
            yield _row(level, "rest", rested, seconds)
            sent = _bursts(spaces[SENDER], seconds)
            agent.check()
            written = log.read_bytes()[len(started) + len(rested) :]
            yield _row(level, "bursts", written, seconds) | {"datagrams": sent}


def _row(level: str, phase: str, written: bytes, seconds: float) -> dict[str, Any]:
    counted = {"bytes": len(written), "lines": written.count(b"\n"), "bytesAnHour": len(written) * HOUR_S / seconds}
    return {"level": level, "phase": phase, "seconds": seconds, **counted}


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
