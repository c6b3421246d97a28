"""`sentinel demo`: one node in network namespaces, real XDP and a real queue, watched while bursts hit it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table

from sentinel_lab import view
from sentinel_lab.experiment import Plan, Run, carried_out, check
from sentinel_lab.imagined import imagined
from sentinel_lab.namespaces import require_root, unwind_when_told
from sentinel_lab.policies import LEARNERS, NAMES, PRODUCT
from sentinel_lab.report import COLUMNS, page, row, sentence
from sentinel_lab.scenario import SINGLE
from sentinel_lab.traffic.patterns import SPELLINGS

if TYPE_CHECKING:
    from sentinel_lab.history import History

OUT = Path("out") / "demo"
FRAMES_PER_SECOND = 8
PAST_S = 120.0  # a dozen periodic bursts: as many as it takes to be believed
HEADS = {
    "dropped %": "dropped\n%",
    "delay p50 ms": "delay\np50\nms",
    "delay p99 ms": "delay\np99\nms",
    "in queue p99 ms": "queue\np99\nms",
    "granted mean KiB": "granted\nmean\nKiB",
    "held mean KiB": "held\nmean\nKiB",
    "held peak KiB": "held\npeak\nKiB",
}
"""The report's columns as a terminal has room for them."""


@click.command()
@click.option("--seconds", default=30.0, show_default=True, help="How long traffic is sent.")
@click.option("--pattern", default="periodic", show_default=True, help=f"One of {', '.join(SPELLINGS)}.")
@click.option("--policy", default=PRODUCT, show_default=True, help=f"{PRODUCT} is our agent; or {', '.join(NAMES)}.")
@click.option("--past", "past_s", type=float, help="Seconds of such traffic that a predictor remembers.  [120]")
@click.option("--simulate", is_flag=True, help="In virtual time instead of namespaces: needs no root.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as one JSON object and no live view.")
def demo(seconds: float, pattern: str, policy: str, past_s: float | None, simulate: bool, as_json: bool) -> None:
    """Watch one buffer node absorb bursts: real XDP, a real queue, in network namespaces of its own.

    Needs root, or --simulate. Nothing outside the namespaces is touched, and Ctrl-C removes them. A report with the
    plot is written to out/demo. A predictor learns for minutes before it is believed: it is given two of them as a
    memory; --past 0 shows the agent as it starts on a new node.

    \b
    Examples:
      sudo sentinel demo
      sudo sentinel demo --seconds 20 --policy static-small
      sudo sentinel demo --pattern microburst --policy reactive-10ms --json
      sentinel demo --simulate --policy oracle
    """
    remembered = (PAST_S if policy in LEARNERS else 0.0) if past_s is None else past_s
    plan = Plan(SINGLE, pattern, policy, seconds, past_s=remembered)
    check(plan)
    console = Console(stderr=as_json, highlight=False)
    if not simulate:
        require_root()
        unwind_when_told()
    try:
        run = _simulated(plan, console, as_json) if simulate else _sent(plan, console, as_json)
    except KeyboardInterrupt:
        console.print("Stopped; the namespaces are removed.")
        raise SystemExit(130) from None
    report = _written(run)
    if as_json:
        click.echo(json.dumps(run.figures() | {"simulated": simulate, "report": str(report)}, indent=2))
    else:
        _summarise(run, report, console)


def _sent(plan: Plan, console: Console, as_json: bool) -> Run:
    return carried_out(plan) if as_json else _watched(plan, console)


def _watched(plan: Plan, console: Console) -> Run:
    with Live(console=console, refresh_per_second=FRAMES_PER_SECOND, transient=True) as live:

        def look(history: History, start_ns: int) -> None:
            live.update(view.frame(plan, history, start_ns))

        live.update("building three namespaces, loading XDP …")
        return carried_out(plan, look)


def _simulated(plan: Plan, console: Console, as_json: bool) -> Run:
    """Worked out at once, shown at the pace of a clock."""
    run = imagined(plan)
    if as_json or not console.is_terminal:
        return run
    with Live(console=console, refresh_per_second=FRAMES_PER_SECOND, transient=True) as live:
        began = time.monotonic()
        while (now_s := time.monotonic() - began) < plan.seconds:
            live.update(view.frame(plan, run.history.until(int(now_s * 1e9)), 0, what="simulated"))
            time.sleep(1 / FRAMES_PER_SECOND)
    return run


def _written(run: Run) -> Path:
    from sentinel_lab.plots import two_panels  # noqa: PLC0415 - matplotlib takes seconds; the view does not wait for it

    picture = two_panels([run], f"One buffer node, {run.plan.pattern} traffic, {run.plan.policy}")
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "drops-and-buffer.png").write_bytes(picture)
    report = OUT / "report.html"
    report.write_text(page(run, picture))
    return report


def _summarise(run: Run, report: Path, console: Console) -> None:
    console.print(table(run))
    console.print(sentence(run))
    for reason in run.dirt:
        console.print(f"[red]Do not quote these figures: {reason}.[/]")
    console.print(f"Report: {report}")


def table(run: Run) -> Table:
    """Eighty columns wide at most: the heads take three lines, and no figure is cut."""
    found = Table(box=None, padding=(0, 0, 0, 1), pad_edge=False, header_style="bold")
    for index, name in enumerate(COLUMNS):
        found.add_column(HEADS.get(name, name), justify="left" if index == 0 else "right", no_wrap=True)
    for each in run.classes:
        found.add_row(*row(each))
    return found
