"""`sentinel bench mesh`: how fast a state travels, and how soon a dead, stopped or cut-off process is suspected."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from sentinel_lab.bench import mesh_neighbours, mesh_scale
from sentinel_lab.bench.mesh_blows import BLOWS, OTHER, PARTITION, VICTIM, WATCHER
from sentinel_lab.bench.mesh_curves import curve
from sentinel_lab.bench.mesh_lab import mesh_lab
from sentinel_lab.bench.output import tell
from sentinel_lab.namespaces import require_root, unwind_when_told

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sentinel_lab.bench.mesh_blows import Blow
    from sentinel_lab.bench.mesh_lab import MeshLab, Running

ROUNDS, QUICK_ROUNDS = 20, 5
CALM_S, QUICK_CALM_S = 20.0, 5.0
SETTLING_S = 0.3
SCALE_S, QUICK_SCALE_S = 10.0, 3.0
PLACES = 3
SHARED, QUICK_SHARED = 6, 2


@dataclass(slots=True)
class Figures:
    """Milliseconds, one entry a watcher and round."""

    detected: dict[str, list[float]] = field(default_factory=dict)
    back: dict[str, list[float]] = field(default_factory=dict)
    unusable: dict[str, int] = field(default_factory=dict)
    """Where a watcher already suspected the victim: on a starved machine or a bad network, and no detection."""


@click.command()
@click.option("--quick", is_flag=True, help="A few rounds of each kind.")
@click.option(
    "--neighbours",
    type=click.Choice(tuple(mesh_neighbours.LAGS_S)),
    multiple=True,
    help="Only this: what alarms save on later nodes, on real packets, where bursts have to do with each other or not.",
)
@click.option("--rounds", type=click.IntRange(1, 1000), help="Of those; so many with and so many without alarms.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def mesh(quick: bool, neighbours: tuple[str, ...], rounds: int | None, as_json: bool) -> None:
    """Three processes in namespaces of their own tell each other their state; one is killed, stopped, cut off: on a
    good network, on one that loses 30 %, beside a reader that stands still, on a machine without CPU to spare.

    \b
    Example:
      sudo sentinel bench mesh --json
      sudo sentinel bench mesh --neighbours correlated --rounds 6 --json
    """
    require_root()
    load = os.getloadavg()[0]
    if neighbours:
        unwind_when_told()
        _neighbours(neighbours, rounds or (QUICK_SHARED if quick else SHARED), load, as_json=as_json)
        return
    metrics, rows = measured(QUICK_ROUNDS if quick else ROUNDS, QUICK_CALM_S if quick else CALM_S)
    metrics, rows = _with_scale(metrics, rows, quick=quick)
    rows.append({"what": "load average, one minute", "start": load, "end": os.getloadavg()[0]})
    tell("mesh", metrics, rows, as_json=as_json)


def _neighbours(kinds: tuple[str, ...], rounds: int, load: float, *, as_json: bool) -> None:
    """Whoever ends it early gets what was measured by then."""
    rows: list[dict[str, Any]] = []
    try:
        for kind in kinds:
            for row in mesh_neighbours.neighbourly(kind, rounds):
                rows.append(row)
    finally:
        metrics = mesh_neighbours.figures(rows)
        rows.append({"what": "load average, one minute", "start": load, "end": os.getloadavg()[0]})
        tell("mesh", metrics, rows, as_json=as_json)


def _with_scale(
    metrics: dict[str, float], rows: list[dict[str, Any]], *, quick: bool
) -> tuple[dict[str, float], list[dict[str, Any]]]:
    _log("what a member costs, by their number")
    found = mesh_scale.costs(QUICK_SCALE_S if quick else SCALE_S, quick=quick)
    metrics = metrics | mesh_scale.slopes(found)
    for what in ("bytes_per_s", "cpu_percent"):  # under the names that every bench of a mesh answers to
        if (routed := metrics.get(f"{mesh_scale.ROUTED}.{what}_100")) is not None:
            metrics[f"{what}_100"] = routed
    return metrics, rows + [each.row() for each in found]


def measured(rounds: int, calm_s: float) -> tuple[dict[str, float], list[dict[str, Any]]]:
    figures = Figures()
    with mesh_lab(PLACES) as lab:
        watchers = (lab.start(WATCHER), lab.start(OTHER))
        for one, two in (watchers, watchers[::-1]):
            one.until(two.node, "alive")
        calm = _calm(lab, watchers[0], calm_s)
        for kind, blow in BLOWS.items():
            _rounds(lab, watchers, kind, blow, figures, rounds)
        doubted = sum(_doubts(one, two) for one, two in (watchers, watchers[::-1]))
        _rounds(lab, watchers, "partition", PARTITION, figures, rounds)  # after this each was right to doubt the other
        last = {watcher.node: watcher.end() for watcher in watchers}
    latency = _latency_ms(last)
    metrics = {"latency_p50_ms": _p(latency, 50), "latency_p99_ms": _p(latency, 99)} | calm
    for kind, each in figures.detected.items():
        metrics |= {f"detect_{kind}_p50_ms": _p(each, 50), f"detect_{kind}_p99_ms": _p(each, 99)}
    for kind, each in figures.back.items():
        metrics[f"back_after_{kind}_p50_ms"] = _p(each, 50)
    metrics["false_suspicions"] = float(doubted)
    rows: list[dict[str, Any]] = [
        {"what": f"detection, {kind}, ms", "each": each} for kind, each in figures.detected.items()
    ]
    rows += [{"what": f"alive again after {kind}, ms", "each": each} for kind, each in figures.back.items()]
    rows += curve(
        [gaps for words in last.values() for gaps in (words["gaps"].get(other, []) for other in last) if gaps]
    )
    rows.append({"what": "states whose way was timed", "count": len(latency)})
    rows += [{"what": f"{kind}: watchers that had doubts before, left out", "count": each}
             for kind, each in figures.unusable.items()]  # fmt: skip
    return metrics, rows


def _rounds(lab: MeshLab, watchers: tuple[Running, ...], kind: str, blow: Blow, figures: Figures, rounds: int) -> None:
    _log(f"{kind}, {rounds} rounds")
    for turn in range(rounds):
        _suffered(lab, watchers, f"{kind}{turn}", blow, figures)


def _suffered(lab: MeshLab, watchers: tuple[Running, ...], name: str, blow: Blow, figures: Figures) -> None:
    """A new name each round, so that the wait after earlier falls decides nothing here."""
    kind, judges = name.rstrip("0123456789"), watchers[: blow.judges]
    victim = lab.start(VICTIM, name)
    for watcher in watchers:
        watcher.until(name, "alive")
    time.sleep(SETTLING_S)
    with blow.world(lab, watchers):
        struck_ns = time.monotonic_ns()
        blow.strike(lab, victim)
        since_ns = {watcher: watcher.since(name, "suspected") for watcher in judges}
    calm = [watcher for watcher in judges if since_ns[watcher] >= struck_ns]
    figures.unusable[kind] = figures.unusable.get(kind, 0) + len(judges) - len(calm)
    for watcher in calm:
        figures.detected.setdefault(kind, []).append((since_ns[watcher] - struck_ns) / 1e6)
    if blow.undo is not None:
        undone_ns = time.monotonic_ns()
        blow.undo(lab, victim)
        for watcher in calm:
            at_ns = watcher.until(name, "alive", undone_ns)
            figures.back.setdefault(kind, []).append((at_ns - undone_ns) / 1e6)
    victim.process.kill()
    victim.end()


def _doubts(one: Running, two: Running) -> int:
    """How often a healthy watcher was suspected after it was first believed."""
    said = [level for _, level in one.levels(two.node)]
    return said[said.index("alive") :].count("suspected")


def _calm(lab: MeshLab, watcher: Running, seconds: float) -> dict[str, float]:
    """What a member of a mesh of two costs while nothing happens; the lab's own watching is in its CPU time."""
    began, bytes_before, cpu_before = time.monotonic(), lab.bytes_through(WATCHER), _cpu_s(watcher.process.pid)
    time.sleep(seconds)
    elapsed = time.monotonic() - began
    return {
        "bytes_per_s_2": (lab.bytes_through(WATCHER) - bytes_before) / elapsed,
        "cpu_percent_2": 100 * (_cpu_s(watcher.process.pid) - cpu_before) / elapsed,
    }


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _latency_ms(last: Mapping[str, Mapping[str, Any]]) -> list[float]:
    """From the making of each state to its arrival at the other watcher; one clock serves both, on one machine."""
    sent = {(node, seq): at_ns for node, words in last.items() for seq, at_ns in words["sent"]}
    heard = (tuple(each) for words in last.values() for each in words["heard"])
    return [(at_ns - sent[node, seq]) / 1e6 for node, seq, at_ns in heard if (node, seq) in sent]


def _p(values: list[float], percent: float) -> float:
    return float(np.percentile(values, percent))


def _log(sentence: str) -> None:
    click.echo(f"{time.strftime('%H:%M:%S')} {sentence}", err=True)
