"""`sentinel demo --scenario failover`: a node dies before your eyes, and the outage is told in milliseconds."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import click
from rich.table import Table

from sentinel_lab.failover.blows import BLOWS
from sentinel_lab.failover.calls import answering, note_ports
from sentinel_lab.failover.stage import staged
from sentinel_lab.failover.trial import PACKETS_PER_S
from sentinel_lab.topology import RECEIVER

if TYPE_CHECKING:
    from rich.console import Console

    from sentinel_lab.failover.trial import Trial

NODES: Final = 3
ACTS: Final = {
    "cut": "{node} is cut off: its link is up and passes nothing on",
    "kill": "{node} loses its power: all links and its agent at once",
    "return": "{node} dies and comes back: counted from its return on",
    "agent-killed": "the agent of {node} is killed and started again",
}


def show(console: Console, *, as_json: bool) -> None:
    """Each of the acts once, on another node in turn."""
    console.print(f"Starting {NODES} nodes with their agents, and the balancer in front of them …")
    told = []
    with staged(NODES) as stage, answering(stage.spaces[RECEIVER]):
        note_ports([stage.spaces[role] for role in stage.nodes])
        console.print(f"{PACKETS_PER_S:,} packets a second go through them, in many flows.")
        for turn, (kind, act) in enumerate(ACTS.items()):
            node = stage.nodes[turn % NODES]
            stage.await_ready()
            console.print(f"· {act.format(node=node)} …")
            found = BLOWS[kind].carried_out(stage, node)
            told.append({"what": kind, "node": node} | asdict(found))
            console.print(f"  {sentence(found)}")
    if as_json:
        click.echo(json.dumps({"scenario": "failover", "acts": told}, indent=2))
    else:
        console.print(table(told))


def sentence(found: Trial) -> str:
    seen = found.outage
    if not seen.lost:
        return f"no packet of {seen.sent:,} was lost."
    answered = sum(each.fate == "answered" for each in found.calls)
    calls = f", {answered} of {len(found.calls)} of its connections too" if found.calls else ""
    return (
        f"outage {seen.lost_ms:.0f} ms: {seen.lost:,} of {seen.sent:,} packets lost; {seen.flows_lived} of"
        f" {seen.flows_hit} flows live on elsewhere{calls}."
    )


def table(told: list[dict[str, Any]]) -> Table:
    found = Table(box=None, header_style="bold")
    found.add_column("what")
    for column in ("outage ms", "packets lost", "flows hit", "live on"):
        found.add_column(column, justify="right")
    for each in told:
        seen = each["outage"]
        numbers = (seen["lost"], seen["flows_hit"], seen["flows_lived"])
        found.add_row(each["what"], f"{seen['lost_ms']:.0f}", *(f"{number:,}" for number in numbers))
    return found
