"""`sentinel bench traffic`: what the lab's own senders reach, so that none limits a comparison unnoticed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import numpy as np

from sentinel_api.errors import Transient
from sentinel_lab.bench.output import tell
from sentinel_lab.delay import Way, delayed
from sentinel_lab.namespaces import require_root, unwind_when_told
from sentinel_lab.topology import (
    EAST,
    EAST_ADDRESS,
    RECEIVER,
    RECEIVER_ADDRESS,
    SENDER,
    SINGLE_BOTTLENECK,
    TWO_SITES,
    WEST,
    WEST_ADDRESS,
    built,
)
from sentinel_lab.traffic.orders import SendOrder, Stream
from sentinel_lab.traffic.run import exchanged, ready
from sentinel_lab.traffic.tcp_orders import TcpKind, TcpOrder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sentinel_lab.namespaces import Namespace

ASKED_PPS: Final = (50_000, 100_000, 200_000, 300_000)
PORT, TCP_PORT, IPERF_PORT = 9_001, 9_003, 5_201
PACKET_BYTES: Final = 64
ON_TIME_MS: Final = 5.0
"""A rate is reached when 99 of 100 packets leave within this of when they are due."""
DELAYS_MS: Final = (5.0, 20.0, 50.0)
TCP_KINDS: Final[tuple[TcpKind, ...]] = ("bulk", "requests", "short")
PATIENCE_S: Final = 30.0
CALM_PPS: Final = 1_000
LOOK_S: Final = 0.1
WAYS: Final = ((WEST, EAST, EAST_ADDRESS), (EAST, WEST, WEST_ADDRESS))
WAY: Final = Way("10.77.2.0/24", "10.77.1.1", "out")


@click.command()
@click.option("--quick", is_flag=True, help="Half a second for each figure.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def traffic(quick: bool, as_json: bool) -> None:
    """Measure the senders: datagrams a second on one core, TCP of three kinds, iperf3, and the delay line's error.

    \b
    Examples:
      sudo sentinel bench traffic
      sudo sentinel bench traffic --quick --json
    """
    require_root()
    unwind_when_told()
    seconds = 0.5 if quick else 2.0
    rows: list[dict[str, Any]] = []
    with built(SINGLE_BOTTLENECK) as spaces, tempfile.TemporaryDirectory(prefix="sentinel-lab-") as folder:
        rows += [_datagrams(spaces, pps, seconds, Path(folder)) for pps in ASKED_PPS]
        rows += [_tcp(spaces, kind, 2 * seconds) for kind in TCP_KINDS]
        rows += _iperf(spaces, 2 * seconds)
        rows += [_delay(spaces, each, seconds, Path(folder)) for each in DELAYS_MS]
    with built(TWO_SITES) as spaces, tempfile.TemporaryDirectory(prefix="sentinel-lab-") as folder:
        rows += [_between_sites(spaces, *each, seconds, Path(folder)) for each in WAYS]
    for row in rows:
        row["load"] = os.getloadavg()[0]
    tell("traffic", metrics(rows), rows, as_json=as_json)


def metrics(rows: list[dict[str, Any]]) -> dict[str, float]:
    found: dict[str, float] = {}
    datagrams = [row for row in rows if row["what"] == "udp"]
    if datagrams:
        found["udp_pps"] = max(row["reached_pps"] for row in datagrams)
        on_time = [row["reached_pps"] for row in datagrams if row["lag_ms_p99"] <= ON_TIME_MS]
        if on_time:
            found["udp_pps_on_time"] = max(on_time)
    for row in rows:
        if row["what"] == "tcp":
            found[f"tcp_{row['kind']}_mbit_per_s"] = row["mbit_per_s"]
            if row["answered"]:
                found[f"tcp_{row['kind']}_ms_p99"] = row["ms_p99"]
        elif row["what"] == "iperf3":
            found["iperf3_mbit_per_s"] = row["mbit_per_s"]
        elif row["what"] in ("delay", "sites"):
            name = f"delay_{row['asked_ms']:g}" if row["what"] == "delay" else row["way"].replace(" ", "_")
            found |= {f"{name}_error_ms_{each}": row[f"error_ms_{each}"] for each in ("p50", "p99")}
    return found


def _datagrams(spaces: Mapping[str, Namespace], pps: int, seconds: float, folder: Path) -> dict[str, Any]:
    """Through a router to a socket; one process sends, and what a core of it reaches is what counts."""
    stream = Stream(port=PORT, pattern="steady", packet_bytes=PACKET_BYTES, scale=pps / CALM_PPS)
    order = SendOrder(namespace=spaces[SENDER].name, address=RECEIVER_ADDRESS, seconds=seconds, streams=(stream,))
    with ready(order, spaces[RECEIVER].name, folder) as under_way:
        under_way.start()
        outcome = under_way.outcome()
    sent = outcome.sent[0]
    return {
        "what": "udp", "asked_pps": pps, "reached_pps": sent.sent / max(seconds, sent.took_s), "sent": sent.sent,
        "received": outcome.received.packets, "lag_ms_p99": sent.lag_us_p99 / 1000,
    }  # fmt: skip


def _tcp(spaces: Mapping[str, Namespace], kind: TcpKind, seconds: float) -> dict[str, Any]:
    order = TcpOrder(namespace=spaces[SENDER].name, address=RECEIVER_ADDRESS, port=TCP_PORT, kind=kind, seconds=seconds)
    sent, served = exchanged(order, spaces[RECEIVER].name)
    return {
        "what": "tcp", "kind": kind, "mbit_per_s": sum(served.bytes_by_connection) * 8 / seconds / 1e6,
        "due": sent.due, "answered": sent.answered, "failed": sent.failed,
        "ms_p50": float(np.quantile(sent.millis, 0.5)) if sent.millis else None,
        "ms_p99": float(np.quantile(sent.millis, 0.99)) if sent.millis else None,
    }  # fmt: skip


def _iperf(spaces: Mapping[str, Namespace], seconds: float) -> list[dict[str, Any]]:
    """A second opinion on what the same path carries; absent where it is not installed."""
    if shutil.which("iperf3") is None:
        return []
    with ExitStack() as stack:
        with spaces[RECEIVER].entered():
            server = subprocess.Popen(["iperf3", "-s", "-1", "-p", str(IPERF_PORT)], stdout=subprocess.DEVNULL)
        stack.callback(server.wait)
        stack.callback(server.kill)
        with spaces[SENDER].entered():
            answer = _iperf_client(seconds)
    return [{"what": "iperf3", "mbit_per_s": answer["end"]["sum_received"]["bits_per_second"] / 1e6}]


def _iperf_client(seconds: float) -> dict[str, Any]:
    """Asked again while the server is not up yet."""
    command = ["iperf3", "-c", RECEIVER_ADDRESS, "-p", str(IPERF_PORT), "-t", f"{max(1.0, seconds):.0f}", "-J"]
    deadline = time.monotonic() + PATIENCE_S
    while True:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S + seconds, check=False)
        answer: dict[str, Any] = json.loads(done.stdout)
        if "error" not in answer:
            return answer
        if time.monotonic() > deadline:
            raise Transient(f"iperf3: {answer['error']}")
        time.sleep(0.2)


def _delay(spaces: Mapping[str, Namespace], millis: float, seconds: float, folder: Path) -> dict[str, Any]:
    with delayed(spaces[SENDER], WAY, millis):
        found = _error(spaces[SENDER], spaces[RECEIVER], RECEIVER_ADDRESS, millis, seconds, folder)
    return {"what": "delay", "asked_ms": millis} | found


def _between_sites(
    spaces: Mapping[str, Namespace], here: str, there: str, address: str, seconds: float, folder: Path
) -> dict[str, Any]:
    """One way, over the link between them, at a rate that it carries."""
    millis = sum(link.delay_ms for link in TWO_SITES.links)
    found = _error(spaces[here], spaces[there], address, millis, seconds, folder)
    return {"what": "sites", "way": f"{here} to {there}", "asked_ms": millis} | found


def _error(
    here: Namespace, there: Namespace, address: str, millis: float, seconds: float, folder: Path
) -> dict[str, Any]:
    """How much later than asked packets of a calm stream come, and how many do not."""
    stream = Stream(port=PORT, pattern="steady", packet_bytes=PACKET_BYTES)
    order = SendOrder(namespace=here.name, address=address, seconds=seconds, streams=(stream,))
    with ready(order, there.name, folder) as under_way:
        under_way.start()
        while under_way.sending():
            time.sleep(LOOK_S)
        time.sleep(millis / 1000 + LOOK_S)  # the last ones are still on their way
        outcome = under_way.outcome()
    arrivals = outcome.to(PORT)
    errors = (arrivals["got_ns"] - arrivals["sent_ns"]) / 1e6 - millis
    p50, p99 = np.quantile(errors, [0.5, 0.99]).tolist() if errors.size else (0.0, 0.0)
    return {"error_ms_p50": p50, "error_ms_p99": p99, "lost": outcome.sent[0].sent - int(arrivals.size)}
