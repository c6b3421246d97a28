"""`sentinel bench bpf`: nanoseconds a packet of the data plane, stage by stage, and the same work without BPF."""

from __future__ import annotations

import os
import platform
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import click

from sentinel_api.errors import Invalid, Transient
from sentinel_lab.bench import bpf_frames, bpf_loop, bpf_out, bpf_user, bpf_yardsticks
from sentinel_lab.bench.output import tell
from sentinel_lab.namespaces import require_root

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sentinel_lab.bench.bpf_frames import Frame
    from sentinel_lab.bench.bpf_loop import Timing

SIZES = {1: "1", 4096: "4k", 65_536: "64k"}  # flows, and how a metric's name tells them
ROUNDS, QUICK_ROUNDS = 20, 6
LOADS = 4  # of the objects: where their maps come to lie, and what goes on beside, is another each time
PACED_PACKETS, QUICK_PACKETS = 20_000, 4_000
PACED_ROUNDS = 5
SCATTERED = f"{bpf_frames.PLAIN4.name}, scattered"  # the table's entries lie in another order than packets come

Row = dict[str, float | str]


@click.command()
@click.option("--quick", is_flag=True, help="IPv4 TCP only, all stages together, fewer rounds.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def bpf(quick: bool, as_json: bool) -> None:
    """Time the data plane's XDP program on one core, and beside it a reader in user space that parses and counts.

    \b
    Example:
      sudo sentinel bench bpf --json
    """
    require_root()
    rounds = QUICK_ROUNDS if quick else ROUNDS
    metrics: dict[str, float] = {}
    rows: list[Row] = [
        {"what": "processor", "value": _processor()},
        {"what": "load average, one minute, at the start", "value": os.getloadavg()[0]},
    ]
    with bpf_loop.undisturbed():
        metrics["ns_drop"] = bpf_loop.drop_ns(bpf_frames.PLAIN4, rounds)
        for frame in _frames(quick=quick):
            stages = [bpf_loop.ALL] if quick or frame is not bpf_frames.PLAIN4 else list(bpf_loop.STAGES)
            _log(f"{frame.name}, {len(stages)} programs, {rounds} rounds")
            for flows, timings in loop_timings(frame, stages, rounds).items():
                rows += _loop_rows(frame.name, flows, timings)
                if frame is bpf_frames.PLAIN4:
                    metrics |= loop_metrics(flows, timings)
        _log(f"{SCATTERED}, {rounds} rounds")
        for flows, timings in loop_timings(bpf_frames.PLAIN4, [bpf_loop.ALL], rounds, scattered=True).items():
            rows += _loop_rows(SCATTERED, flows, timings)
            metrics |= _named(f"ns_scattered_{SIZES[flows]}", timings[bpf_loop.ALL])
        found, others = other_figures(rounds)
        metrics |= found
        rows += others
        try:
            found, compared = user_figures(quick=quick)
        except Invalid as missing:
            _log(f"left out: {missing}")
        else:
            metrics |= found
            rows += compared
    rows.append({"what": "load average, one minute, at the end", "value": os.getloadavg()[0]})
    tell("bpf", metrics, rows, as_json=as_json)


def loop_timings(
    frame: Frame, stages: Sequence[str], rounds: int, *, scattered: bool = False
) -> dict[int, dict[str, Timing]]:
    """By number of flows and target, in the middle of several loads among which the rounds are divided."""
    loads = min(LOADS, rounds)
    with bpf_loop.loop_over(frame) as (loop, bare):
        found = [_of_one_load(loop, bare, stages, rounds // loads, scattered=scattered) for _ in range(loads)]
    return {flows: bpf_loop.middle([load[flows] for load in found]) for flows in SIZES}


def _of_one_load(
    loop: bpf_loop.Loop, bare: Sequence[bpf_loop.Target], stages: Sequence[str], rounds: int, *, scattered: bool
) -> dict[int, dict[str, Timing]]:
    with bpf_loop.targets(stages) as products:
        found = {}
        for flows in SIZES:
            for each in products:
                loop.grow(each, flows, scattered=scattered)
            found[flows] = bpf_loop.measured(loop, [*bare, *products], flows, rounds)
        for each in products:
            bpf_loop.require_clean(each, rounds * len(SIZES) * bpf_loop.MEASURED)
    return found


def loop_metrics(flows: int, timings: Mapping[str, Timing]) -> dict[str, float]:
    """Unsound figures are an error: all stages cannot be cheaper than the harness that runs them."""
    everything, size = timings[bpf_loop.ALL], SIZES[flows]
    if everything.p50 <= timings[bpf_loop.DROP].p50 or everything.p50 > everything.p99:
        raise Transient(f"{flows} flows: the times contradict each other; run the benchmark on a quieter machine")
    metrics = _named(f"ns_all_{size}", everything)
    if flows == 1:
        metrics["ns_harness"] = timings[bpf_loop.HARNESS].p50
    return metrics


def other_figures(rounds: int) -> tuple[dict[str, float], list[Row]]:
    """What the way out costs, and the first packet of a flow; and the data plane beside programs of xdp-tools."""
    metrics: dict[str, float] = {}
    rows: list[Row] = []
    for case in bpf_out.CASES:
        _log(f"{case.name}, {case.rules} rules, {rounds} rounds")
        timing = bpf_out.timed(case, rounds)
        metrics |= _named(case.metric, timing)
        rows.append(_out_row(case, timing))
    _log("programs alone, one frame; those of xdp-tools where they are installed")
    for name, alone in bpf_yardsticks.alone_ns(bpf_frames.PLAIN4, rounds).items():
        rows.append({"what": "XDP programs alone, ns a packet, nothing subtracted", "program": name, "ns": alone})
    return metrics, rows


def user_figures(*, quick: bool) -> tuple[dict[str, float], list[Row]]:
    """The reader's cost over the data plane's, each with the sending and the stack that both share in it."""
    packets = QUICK_PACKETS if quick else PACED_PACKETS
    with bpf_user.compared(bpf_frames.PLAIN4) as comparison:
        _log("the same work in user space: flood, fixed rate, single packets")
        flood = {name: median(each) for name, each in comparison.flood_ns(QUICK_ROUNDS if quick else ROUNDS).items()}
        paced = comparison.paced(PACED_ROUNDS, packets)
        trips = comparison.trips_us()
    rows = [_user_row(name, flood[name], paced[name], trips.get(name)) for name in bpf_user.SIDES]
    user, kernel = bpf_user.USER, bpf_user.KERNEL
    return {
        "userspace_ratio": paced[user]["cpu_percent"] / paced[kernel]["cpu_percent"],
        "userspace_flood_ratio": flood[user] / flood[kernel],
        "userspace_latency_ratio": trips[user][0] / trips[kernel][0],
    }, rows


def _frames(*, quick: bool) -> list[Frame]:
    every = [bpf_frames.PLAIN4, bpf_frames.PLAIN6, bpf_frames.STAMPED4, bpf_frames.DATAGRAM4]
    return every[:1] if quick else every


def _loop_rows(frame: str, flows: int, timings: Mapping[str, Timing]) -> list[Row]:
    rows: list[Row] = []
    before = 0.0
    for name, each in timings.items():
        row: Row = {"what": "in-BPF loop, ns a packet", "frame": frame, "flows": flows, "on": name}
        row |= {"p50": each.p50, "p99": each.p99, "quiet": each.quiet, "least": each.least, "most": each.most}
        if name in bpf_loop.STAGES and len(timings) > len((bpf_loop.HARNESS, bpf_loop.DROP, bpf_loop.ALL)):
            row["added_by_stage_quiet"] = each.quiet - before
            before = each.quiet
        rows.append(row)
    return rows


def _named(metric: str, timing: Timing) -> dict[str, float]:
    return {metric: timing.p50, f"{metric}_p99": timing.p99, f"{metric}_quiet": timing.quiet}


def _out_row(case: bpf_out.Case, timing: Timing) -> Row:
    flows: float | str = "each packet another" if case.flows == bpf_loop.ENDLESS else case.flows
    row: Row = {"what": "in-BPF loop, one program, ns a packet", "case": case.name, "flows": flows, "rules": case.rules}
    return row | {"p50": timing.p50, "p99": timing.p99, "quiet": timing.quiet}


def _user_row(name: str, flood_ns: float, paced: Mapping[str, float], trip: tuple[float, float] | None) -> Row:
    row: Row = {
        "what": "the same work in user space",
        "side": name,
        "packets_per_s_of_one_cpu": 1e9 / flood_ns,
        "ns_per_packet": flood_ns,
        "cpu_percent_at_20k_packets_per_s": paced["cpu_percent"],
        "context_switches_per_s": paced["switches_per_s"],
        "copies_per_packet": 1 if name == bpf_user.USER else 0,  # into the ring; by construction, not measured
    }
    if trip:
        row |= {"us_until_counted_p50": trip[0], "us_until_counted_p99": trip[1]}
    return row


def _processor() -> str:
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return models[0].partition(":")[2].strip() if models else platform.machine()


def _log(sentence: str) -> None:
    click.echo(f"{time.strftime('%H:%M:%S')} {sentence}", err=True)
