"""`sentinel demo`: one node in network namespaces, real XDP and a real queue, watched while bursts hit it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table

from sentinel_lab import view
from sentinel_lab.experiment import Plan, Run, carried_out, check
from sentinel_lab.namespaces import require_root, unwind_when_told
from sentinel_lab.policies import NAMES, PRODUCT
from sentinel_lab.report import COLUMNS, page, row, sentence
from sentinel_lab.scenario import SINGLE
from sentinel_lab.traffic.patterns import PATTERNS

if TYPE_CHECKING:
    from sentinel_lab.history import History

OUT = Path("out") / "demo"
FRAMES_PER_SECOND = 8
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
@click.option("--pattern", default="periodic", show_default=True, help=f"One of {', '.join(sorted(PATTERNS))}.")
@click.option(
    "--policy", default=PRODUCT, show_default=True, help=f"{PRODUCT} is our agent; one of {', '.join(sorted(NAMES))}."
)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as one JSON object and no live view.")
def demo(seconds: float, pattern: str, policy: str, as_json: bool) -> None:
    """Watch one buffer node absorb bursts: real XDP, a real queue, in network namespaces of its own.

    Needs root. Nothing outside the namespaces is touched, and Ctrl-C removes them. A report with the plot is written to
    out/demo.

    \b
    Examples:
      sudo sentinel demo
      sudo sentinel demo --seconds 20 --policy static-small
      sudo sentinel demo --pattern microburst --policy reactive-10ms --json
    """
    plan = Plan(SINGLE, pattern, policy, seconds)
    check(plan)
    require_root()
    unwind_when_told()
    console = Console(stderr=as_json, highlight=False)
    try:
        run = carried_out(plan) if as_json else _watched(plan, console)
    except KeyboardInterrupt:
        console.print("Stopped; the namespaces are removed.")
        raise SystemExit(130) from None
    report = _written(run)
    if as_json:
        click.echo(json.dumps(run.figures() | {"report": str(report)}, indent=2))
    else:
        _summarise(run, report, console)


def _watched(plan: Plan, console: Console) -> Run:
    with Live(console=console, refresh_per_second=FRAMES_PER_SECOND, transient=True) as live:

        def look(history: History, start_ns: int) -> None:
            live.update(view.frame(plan, history, start_ns))

        live.update("building three namespaces, loading XDP …")
        return carried_out(plan, look)


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
