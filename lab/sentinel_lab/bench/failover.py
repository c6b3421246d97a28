"""`sentinel bench failover`: what is lost when a node dies, is cut off, loses its agent, or returns."""

from __future__ import annotations

import os
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import click
import numpy as np

from sentinel_lab.bench.output import tell
from sentinel_lab.failover import calm as calmly
from sentinel_lab.failover.blows import BLOWS, SWIFT, Blow
from sentinel_lab.failover.calls import answering, note_ports
from sentinel_lab.failover.losses import counted
from sentinel_lab.failover.stage import staged
from sentinel_lab.failover.wire import Badness
from sentinel_lab.namespaces import require_root, unwind_when_told
from sentinel_lab.topology import RECEIVER

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sentinel_lab.failover.trial import Trial

NODES: Final = 3
QUICK_ROUNDS: Final = 3
CALM_NODES: Final = 2
BADNESS: Final = Badness(loss=0.05, jitter_ms=50.0)


@click.command()
@click.option("--quick", is_flag=True, help="Three of each, and only of kills and cuts.")
@click.option("--only", multiple=True, type=click.Choice(tuple(BLOWS)), help="This blow; may be given more than once.")
@click.option(
    "--calm", type=click.IntRange(1, 86_400), help="Nobody dies for so many seconds: is anybody taken for dead?"
)
@click.option(
    "--bad-wires", is_flag=True, help="Meanwhile 5 % of all frames are lost, the others held for up to 50 ms."
)
@click.option(
    "--busy", type=click.IntRange(0, 64), default=0, help="So many processes take what CPU they get meanwhile."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def failover(quick: bool, only: tuple[str, ...], calm: int | None, bad_wires: bool, busy: int, as_json: bool) -> None:
    """Three nodes with the product's agents behind its balancer; ten thousand packets a second go through them.

    \b
    kill            all of a node's links and its agent at once     agent-killed    the agent alone, started again
    cut             its link passes nothing on, and nobody is told  agent-stopped   SIGSTOP, a second, SIGCONT
    return          a node that was dead comes back                 nat             cut; behind it a NAT table died

    \b
    Examples:
      sudo sentinel bench failover --json
      sudo sentinel bench failover --only cut --only kill
      sudo sentinel bench failover --calm 3600 --bad-wires --busy 2 --json
    """
    require_root()
    unwind_when_told()
    if calm:
        with calmly.busy(busy), staged(CALM_NODES) as stage:
            found = calmly.watched(stage, calm, BADNESS if bad_wires else None)
        tell("failover", calmly.figures(found), calmly.told(found), as_json=as_json)
        return
    load, rows = os.getloadavg()[0], []
    try:
        for kind in only or (SWIFT if quick else BLOWS):
            for row in _rows(kind, BLOWS[kind], quick):
                rows.append(row)
    finally:  # whoever ends it early gets what was measured by then
        metrics = figures(rows)
        rows.append({"what": "load average, one minute", "start": load, "end": os.getloadavg()[0]})
        tell("failover", metrics, rows, as_json=as_json)


def _rows(kind: str, blow: Blow, quick: bool) -> Iterator[dict[str, Any]]:
    with staged(NODES, behind_nat=blow.behind_nat) as stage, answering(stage.spaces[RECEIVER]):
        note_ports([stage.spaces[role] for role in stage.nodes])
        for turn in range(QUICK_ROUNDS if quick else blow.rounds):
            stage.await_ready()
            before, waited_s = counted(stage), stage.balancer.waited_s()
            found = blow.carried_out(stage, stage.nodes[turn % NODES])
            row = _row(kind, found) | {
                "where": dict(counted(stage) - before),
                "balancer_waited_ms": 1e3 * (stage.balancer.waited_s() - waited_s),
            }
            click.echo(f"{time.strftime('%H:%M:%S')} {kind} {turn + 1}: {sentence(row)}", err=True)
            click.echo(circumstances(row), err=True)
            yield row


def _row(kind: str, found: Trial) -> dict[str, Any]:
    fates = [each.fate for each in found.calls]
    return (
        {"what": kind}
        | asdict(found.outage)
        | {f"calls_{fate}": fates.count(fate) for fate in ("answered", "reset", "silent")}
        | {"slowest_call_ms": max((each.after_ms for each in found.calls), default=0.0), "dirt": found.dirt}
    )


def sentence(row: Mapping[str, Any]) -> str:
    """For people who watch."""
    calls = ", ".join(f"{row[f'calls_{each}']} {each}" for each in ("answered", "reset", "silent"))
    return (
        f"{row['lost']} of {row['sent']} packets lost within {row['lost_ms']:.0f} ms, {row['flows_lived']} of"
        f" {row['flows_hit']} flows live on; connections: {calls} {row['dirt']}".rstrip()
    )


def circumstances(row: Mapping[str, Any]) -> str:
    """What each hop counted in that round, and for how long the balancer's threads had no CPU together."""
    places = ", ".join(f"{place} {count}" for place, count in row["where"].items())
    return f"   balancer without CPU for {row['balancer_waited_ms']:.0f} ms; {places or 'no hop counted a loss'}"


def figures(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Of clean rounds in which the node had something to lose, but for those where nothing should be lost."""
    metrics: dict[str, float] = {}
    for kind, blow in BLOWS.items():
        clean = [row for row in rows if row["what"] == kind and not row["dirt"]]
        if not clean:
            continue
        if blow.harmless:
            metrics[f"{kind}.lost_packets"] = float(sum(row["lost"] for row in clean))
            metrics[f"{kind}.rounds"] = float(len(clean))
        else:
            metrics |= _deadly(f"{kind}.", [row for row in clean if row["flows_hit"]])
    deaths = [row for row in rows if row["what"] in SWIFT and not row["dirt"] and row["flows_hit"]]
    return metrics | _deadly("", deaths)


def _deadly(prefix: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    if not rows:
        return {}
    lost_ms = [row["lost_ms"] for row in rows]
    fates = {fate: sum(row[f"calls_{fate}"] for row in rows) for fate in ("answered", "reset", "silent")}
    hit, lived = (sum(row[name] for row in rows) for name in ("flows_hit", "flows_lived"))
    metrics = {
        f"{prefix}rounds": float(len(rows)),
        f"{prefix}lost_ms_p50": float(np.median(lost_ms)),
        f"{prefix}lost_ms_max": float(max(lost_ms)),
        f"{prefix}broken_flows_percent": 100.0 * (hit - lived) / hit,
    }
    if calls := sum(fates.values()):
        metrics |= {f"{prefix}calls_{fate}_percent": 100.0 * number / calls for fate, number in fates.items()}
        metrics[f"{prefix}slowest_call_ms"] = max(row["slowest_call_ms"] for row in rows)
    return metrics
