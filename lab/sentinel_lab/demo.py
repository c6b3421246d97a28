"""`sentinel demo`: one node in network namespaces, real XDP and a real queue, watched while bursts hit it."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.live import Live
from rich.table import Table

from sentinel_api.errors import Invalid
from sentinel_lab import fleet, view
from sentinel_lab.experiment import Plan, Run, carried_out, check
from sentinel_lab.imagined import imagined
from sentinel_lab.namespaces import require_root, unwind_when_told
from sentinel_lab.policies import LEARNERS, NAMES, PRODUCT
from sentinel_lab.report import COLUMNS, page, row, sentence
from sentinel_lab.scenario import SINGLE
from sentinel_lab.traffic.patterns import SPELLINGS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sentinel_lab.history import History

BURSTS, FAILOVER = "bursts", "failover"
SCENARIOS = (BURSTS, FAILOVER)
OUT = Path("out") / "demo"
FRAMES_PER_SECOND = 8
CPUS_FOR_THREE = 4
MOST_NODES = 8
PAST_S = 120.0  # a dozen periodic bursts: as many as it takes to be believed
HEADS = {
    "dropped %": "dropped\n%",
    "delay mean ms": "delay\nmean\nms",
    "delay p99 ms": "delay\np99\nms",
    "in queue p99 ms": "queue\np99\nms",
    "granted mean KiB": "granted\nmean\nKiB",
    "held mean KiB": "held\nmean\nKiB",
    "held peak KiB": "held\npeak\nKiB",
}
"""The report's columns as a terminal has room for them."""


def fitting() -> int:
    """Three agents, a balancer and both ends of the traffic are eight busy processes: too many for two cores, where the
    machine and not the policy would decide what is dropped."""
    return 3 if (os.cpu_count() or 1) >= CPUS_FOR_THREE else 1


@click.command()
@click.option(
    "--scenario", type=click.Choice(SCENARIOS), default=SCENARIOS[0], show_default=True, help="What is shown."
)
@click.option("--seconds", default=30.0, show_default=True, help="How long traffic is sent.")
@click.option("--pattern", default="periodic", show_default=True, help=f"One of {', '.join(SPELLINGS)}.")
@click.option("--policy", default=PRODUCT, show_default=True, help=f"{PRODUCT} is our agent; or {', '.join(NAMES)}.")
@click.option("--past", "past_s", type=float, help="Seconds of such traffic that a predictor remembers.  [120]")
@click.option("--nodes", type=int, help=f"More than one stand behind the balancer.  [{fitting()} on this machine]")
@click.option("--simulate", is_flag=True, help="In virtual time instead of namespaces: needs no root.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as one JSON object and no live view.")
def demo(nodes: int | None, past_s: float | None, simulate: bool, as_json: bool, **wanted: Any) -> None:
    """Watch buffer nodes absorb bursts: real XDP, real queues, in network namespaces of their own.

    With --nodes 3 the product's balancer spreads the same bursts over three nodes, each with its own agent, joined by
    the mesh, before two backends; that takes four cores to be fair, so a smaller machine shows one node unless told
    otherwise.

    Needs root, or --simulate. Nothing outside the namespaces is touched, and Ctrl-C removes them. A report with the
    plot is written to out/demo. A predictor learns for minutes before it is believed: it is given two of them as a
    memory; --past 0 shows the agent as it starts on a new node.

    \b
    Examples:
      sudo sentinel demo
      sudo sentinel demo --seconds 20 --policy static-small
      sudo sentinel demo --pattern microburst --policy reactive-10ms --json
      sudo sentinel demo --nodes 3
      sentinel demo --simulate --policy oracle
      sudo sentinel demo --scenario failover
    """
    if wanted["scenario"] == FAILOVER:
        _failed_over(as_json)
        return
    policy = wanted["policy"]
    remembered = (PAST_S if policy in LEARNERS else 0.0) if past_s is None else past_s
    plan = Plan(SINGLE, wanted["pattern"], policy, wanted["seconds"], past_s=remembered)
    check(plan)
    count = _count(nodes, policy, simulate)
    console = Console(stderr=as_json, highlight=False)
    if not simulate:
        require_root()
        unwind_when_told()
    try:
        run = _simulated(plan, console, as_json) if simulate else _sent(plan, count, console, as_json)
    except KeyboardInterrupt:
        console.print("Stopped; the namespaces are removed.")
        raise SystemExit(130) from None
    report = _written(run)
    if as_json:
        click.echo(json.dumps(run.figures() | {"nodes": count, "simulated": simulate, "report": str(report)}, indent=2))
    else:
        _summarise(run, report, console)


def _failed_over(as_json: bool) -> None:
    """Its own story: three nodes, of which some die; the options of the bursts mean nothing there."""
    from sentinel_lab.failover.show import show  # noqa: PLC0415 - the other scenario does without

    require_root()
    unwind_when_told()
    show(Console(stderr=as_json, highlight=False), as_json=as_json)


def _count(nodes: int | None, policy: str, simulate: bool) -> int:
    if nodes is None:
        return fitting() if policy == PRODUCT and not simulate else 1
    if not 1 <= nodes <= MOST_NODES:
        raise Invalid(f"{nodes} nodes cannot be shown: ask for 1 to {MOST_NODES}")
    if nodes > 1 and (policy != PRODUCT or simulate):
        raise Invalid("several nodes run the product's own processes: leave --policy and --simulate out")
    return nodes


def _sent(plan: Plan, count: int, console: Console, as_json: bool) -> Run:
    if as_json:
        return carried_out(plan) if count == 1 else fleet.carried_out(plan, count).whole
    with Live(console=console, refresh_per_second=FRAMES_PER_SECOND, transient=True) as live:
        if count == 1:
            live.update("building three namespaces, loading XDP …")
            return carried_out(plan, lambda history, start_ns: live.update(view.frame(plan, history, start_ns)))

        what = f"{count} nodes behind a balancer, real XDP"

        def look(history: History, start_ns: int, nodes: Mapping[str, History]) -> None:
            live.update(view.frame(plan, history, start_ns, what, nodes))

        live.update(f"starting {count} agents and a balancer …")
        return fleet.carried_out(plan, count, look).whole


def _simulated(plan: Plan, console: Console, as_json: bool) -> Run:
    """Worked out at once, shown at the pace of a clock."""
    run = imagined(plan)
    if as_json or not console.is_terminal:
        return run
    with Live(console=console, refresh_per_second=FRAMES_PER_SECOND, transient=True) as live:
        began = time.monotonic()
        while (now_s := time.monotonic() - began) < plan.seconds:
            live.update(view.frame(plan, run.history.until(int(now_s * 1e9)), 0, what="one node, simulated"))
            time.sleep(1 / FRAMES_PER_SECOND)
    return run


def _written(run: Run) -> Path:
    from sentinel_lab.plots import two_panels  # noqa: PLC0415 - matplotlib takes seconds; the view does not wait for it

    picture = two_panels([run], f"{run.who}, {run.plan.pattern} traffic, {run.plan.policy}")
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
