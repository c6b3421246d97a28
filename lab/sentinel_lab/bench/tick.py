"""`sentinel bench tick`: what a tick of the product's agent costs on a node of 16 classes and 64 k flows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import numpy as np
import yaml

from sentinel_api.errors import Transient
from sentinel_bpf import pinned, pins
from sentinel_bpf.object import ABI_VERSION
from sentinel_bpf.probe import BPFFS
from sentinel_lab.bench.output import tell
from sentinel_lab.bench.trickle import Trickle
from sentinel_lab.dataplane import OBJECT
from sentinel_lab.namespaces import require_root
from sentinel_lab.report import machine
from sentinel_lab.topology import NODE, NODE_DEVICE, SENDER, SINGLE_BOTTLENECK, built

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

FLOWS: Final = 65_536
CLASSES: Final = 15  # and the unmatched
FIRST_PORT: Final = 9_001
RATE_BITS: Final = 800_000_000
SECONDS, QUICK_SECONDS = 90.0, 20.0  # at most what the agent remembers of its ticks
SETTLING_S: Final = 8.0  # until imports, the first pass through the flow table and the first limits are over
START_S: Final = 300.0
END_S: Final = 20.0
DEBUG: Final = "http://127.0.0.1:9466/debug/ticks"
MIB: Final = 1 << 20


@click.command()
@click.option("--quick", is_flag=True, help=f"{QUICK_SECONDS:.0f} seconds instead of {SECONDS:.0f}.")
@click.option("--flows", default=FLOWS, show_default=True, help="Entries of the flow table, all of them live.")
@click.option("--beside", default=0, help="Processes that are busy beside it all the time.")
@click.option("--save", type=click.Path(path_type=Path), help="Write the JSON to this file too.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def tick(quick: bool, flows: int, beside: int, save: Path | None, as_json: bool) -> None:
    """The agent as a process in a namespace, with light traffic of every class; times are its own, by stage.

    \b
    Example:
      sudo sentinel bench tick --json
      sudo sentinel bench tick --beside 4 --save beside.json
    """
    require_root()
    metrics, rows = measured(flows, QUICK_SECONDS if quick else SECONDS, beside)
    if save is not None:
        conditions = machine() | {"command": " ".join(["sentinel", *sys.argv[1:]])}
        answer = {"bench": "tick", "machine": conditions, "metrics": metrics, "rows": rows}
        save.write_text(json.dumps(answer, indent=1) + "\n")
    tell("tick", metrics, rows, as_json=as_json)


def measured(flows: int, seconds: float, beside: int = 0) -> tuple[dict[str, float], list[dict[str, Any]]]:
    with (
        tempfile.TemporaryDirectory() as folder,
        built(SINGLE_BOTTLENECK) as spaces,
        spaces[NODE].entered(),
        agent(Path(folder), flows) as running,
    ):
        with spaces[SENDER].entered():
            trickle = Trickle(range(FIRST_PORT, FIRST_PORT + CLASSES + 1))
        with trickle, busy(beside):
            time.sleep(SETTLING_S)
            load = os.getloadavg()[0]
            before, cpu_before, began = _ticks(), running.cpu_s(), time.monotonic()
            time.sleep(seconds)
            spent_s, elapsed = running.cpu_s() - cpu_before, time.monotonic() - began
            told = _ticks()
        after = np.array([row for row in told["rows"] if row[0] > before["rows"][-1][0]], np.int64)
        metrics = _figures(after[:, 1:-1], told["stages"]) | {
            "tick_cpu_p50_ms": _ms(after[:, -1], 50),
            "tick_cpu_p99_ms": _ms(after[:, -1], 99),
            "cpu_percent": 100 * spent_s / elapsed,
            "rss_mib": running.rss_mib(),
            "bpf_maps_mib": running.maps_mib(),
            "flows": float(flows),
        }
    rows: list[dict[str, Any]] = [
        {"what": "load average, one minute", "start": load, "end": os.getloadavg()[0]},
        {"what": "ticks", "measured": len(after), "missed": told["missed"] - before["missed"]},
        {"what": "packets sent meanwhile", "count": trickle.sent},
    ]
    return metrics, rows


def _figures(spent_ns: NDArray[np.int64], stages: list[str]) -> dict[str, float]:
    """`spent_ns` has a row a tick and a column a stage."""
    whole = spent_ns.sum(axis=1)
    found = {"tick_p50_ms": _ms(whole, 50), "tick_p99_ms": _ms(whole, 99), "tick_max_ms": _ms(whole, 100)}
    for i, stage in enumerate(stages):
        found |= {f"{stage}_p50_ms": _ms(spent_ns[:, i], 50), f"{stage}_p99_ms": _ms(spent_ns[:, i], 99)}
        found[f"{stage}_share"] = float(spent_ns[:, i].sum() / whole.sum())
    return found


def _ms(spent_ns: NDArray[np.int64], percent: float) -> float:
    return float(np.percentile(spent_ns, percent)) / 1e6


def _ticks() -> dict[str, Any]:
    with urllib.request.urlopen(DEBUG, timeout=60) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """So many loops of the shell, each of which would have a core for itself."""
    running = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(processes)]
    try:
        yield
    finally:
        for each in running:
            each.kill()
            each.wait()


@dataclass(slots=True)
class Running:
    """The agent's process, from outside."""

    pid: int

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_mib(self) -> float:
        """Its own memory; BPF maps that it has mapped are the kernel's and counted apart."""
        lines = dict(line.split(":", 1) for line in Path(f"/proc/{self.pid}/status").read_text().splitlines())
        return sum(int(lines[name].split()[0]) for name in ("RssAnon", "RssFile")) * 1024 / MIB

    def maps_mib(self) -> float:
        """What its BPF maps take in the kernel, each counted once, as the kernel accounts for them."""
        known: dict[str, int] = {}
        for each in Path(f"/proc/{self.pid}/fdinfo").iterdir():
            told = dict(line.split(":", 1) for line in each.read_text().splitlines() if ":" in line)
            if "map_id" in told:
                known[told["map_id"].strip()] = int(told["memlock"])
        return sum(known.values()) / MIB


@contextmanager
def agent(folder: Path, flows: int) -> Iterator[Running]:
    """Started in this thread's namespace with a full flow table; ended by SIGTERM, which hands everything back."""
    config = folder / "agent.yaml"
    config.write_text(yaml.safe_dump(_configuration(flows)))
    name, log = f"tick-{os.getpid()}", (folder / "log").open("wb")
    environment = os.environ | {"SENTINEL_NODE_NAME": name}
    argv = [sys.executable, "-m", "sentinel_agent", "--config", str(config)]
    with log, subprocess.Popen(argv, env=environment, stderr=log) as process:
        try:
            _wait_for(process)
            running = Running(process.pid)
            _fill(name, flows)
            yield running
        finally:
            process.terminate()
            try:
                process.wait(END_S)
            except subprocess.TimeoutExpired:
                process.kill()


def _configuration(flows: int) -> dict[str, Any]:
    classes = [
        {"name": f"class-{port}", "match": [{"protocol": "UDP", "port": port}]}
        for port in range(FIRST_PORT, FIRST_PORT + CLASSES)
    ]
    interface = {"name": NODE_DEVICE, "rateBitsPerSecond": RATE_BITS}
    data_plane = {"interfaces": [interface], "onAgentExit": "Detach", "maxFlows": max(262_144, flows)}
    return {"trafficClasses": classes, "dataPlane": data_plane}


def _wait_for(process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if _ticks()["rows"]:
                return
        except OSError:
            time.sleep(0.1)
    raise Transient("the agent did not start ticking")


def _fill(node_name: str, flows: int) -> None:
    """So many live flows into the agent's table, each with a round trip; they stay live for as long as this runs."""
    where = pins.folder(BPFFS / f"sentinel_{node_name}", f"agent_{NODE_DEVICE}", ABI_VERSION)
    with pinned.maps(OBJECT, where) as maps:
        table = maps["sn_flows"]
        keys, values = np.zeros(flows, table.key), np.zeros(flows, table.value)
        keys["source"][:, 12:] = np.arange(flows, dtype=">u4").view(np.uint8).reshape(-1, 4)
        keys["destination_port"], keys["protocol"] = FIRST_PORT, 6
        values["class_id"] = np.arange(flows) % (CLASSES + 1)
        values["bdp_bytes"], values["rtt_us"] = 20_000, 2_000
        values["last_ns"] = time.monotonic_ns() + 3_600_000_000_000
        table.put_many(keys, values)
