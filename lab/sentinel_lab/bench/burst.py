"""`sentinel bench burst`: the same bursts under each policy in turn, on one machine, in one run."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING, Any

import click

from sentinel_lab.bench.output import tell
from sentinel_lab.experiment import Plan, Run, carried_out, check
from sentinel_lab.namespaces import require_root
from sentinel_lab.policies import PRODUCT
from sentinel_lab.scenario import SINGLE
from sentinel_lab.traffic.patterns import PATTERNS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

POLICIES = ("static-small", "static-large", "reactive-100ms", "reactive-10ms", PRODUCT)
BURSTS = ("flash", "microburst", "periodic", "precursor", "random")
QUICK_SECONDS, FULL_SECONDS = 6.5, 60.0  # the first periodic burst ends after six
FULL_ROUNDS = 3
ATTEMPTS = 3  # a dirty sample is thrown away and taken again; it is never averaged


@click.command()
@click.option("--quick", is_flag=True, help="Periodic bursts only, one short round.")
@click.option("--pattern", "patterns", multiple=True, help=f"One of {', '.join(sorted(PATTERNS))}; may be repeated.")
@click.option("--policy", "policies", multiple=True, help=f"One of {', '.join(POLICIES)}; may be repeated.")
@click.option("--seconds", type=float, help="Length of each run.")
@click.option("--rounds", type=click.IntRange(1, 100), help="How often everything is run, with another seed each time.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def burst(
    quick: bool,
    patterns: tuple[str, ...],
    policies: tuple[str, ...],
    seconds: float | None,
    rounds: int | None,
    as_json: bool,
) -> None:
    """Compare what each policy drops, delays and holds while bursts hit one node.

    \b
    Examples:
      sudo sentinel bench burst --quick --json
      sudo sentinel bench burst --pattern microburst --seconds 30 --rounds 5
    """
    length = seconds or (QUICK_SECONDS if quick else FULL_SECONDS)
    plans = [
        Plan(SINGLE, pattern, policy, length, seed)
        for pattern in patterns or (("periodic",) if quick else BURSTS)
        for seed in range(rounds or (1 if quick else FULL_ROUNDS))
        for policy in policies or POLICIES  # innermost: rivals stand side by side in time
    ]
    for plan in plans:
        check(plan)
    require_root()
    runs: list[Run] = []
    refused: list[Run] = []
    for number, plan in enumerate(plans, start=1):
        click.echo(f"{number} of {len(plans)}: {plan.pattern}, {plan.policy}", err=True)
        clean = _clean(plan, refused)
        if clean:
            runs.append(clean)
    tell("burst", metrics(runs), [each.figures() for each in [*runs, *refused]], as_json=as_json)
    if refused:
        click.echo(f"{len(refused)} dirty samples were refused; their rows say why.", err=True)
    if len(runs) < len(plans):
        raise SystemExit(1)


def _clean(plan: Plan, refused: list[Run]) -> Run | None:
    for _ in range(ATTEMPTS):
        run = carried_out(plan)
        if not run.dirt:
            return run
        refused.append(run)
    return None


def metrics(runs: Sequence[Run]) -> Mapping[str, float]:
    """Per pattern, over all clean rounds; a ratio is there only when both its sides were measured."""
    found: dict[str, float] = {}
    for pattern in sorted({run.plan.pattern for run in runs}):
        mine = [run for run in runs if run.plan.pattern == pattern]
        for policy in sorted({run.plan.policy for run in mine}):
            found |= {f"{pattern}.{policy}.{name}": value for name, value in _figures(mine, policy).items()}
        found |= {f"{pattern}.{name}": value for name, value in _against(mine).items()}
    return found


def _figures(runs: Sequence[Run], policy: str) -> dict[str, float]:
    chosen = [run.bursty for run in runs if run.plan.policy == policy]
    return {
        "drop_percent": 100 * sum(each.dropped for each in chosen) / sum(each.sent for each in chosen),
        "delay_ms_p99": fmean(each.delay_ms_p99 for each in chosen),
        "granted_kib_mean": fmean(each.granted_bytes_mean for each in chosen) / 1024,
        "held_kib_mean": fmean(each.held_bytes_mean for each in chosen) / 1024,
        "held_kib_peak": max(each.held_bytes_peak for each in chosen) / 1024,
    }


def _against(runs: Sequence[Run]) -> dict[str, float]:
    """The product against its rivals."""
    figures = {policy: _figures(runs, policy) for policy in {run.plan.policy for run in runs}}
    if PRODUCT not in figures:
        return {}
    mine, found = figures[PRODUCT], {}
    slow, fast = figures.get("reactive-100ms"), figures.get("reactive-10ms")
    if slow and slow["drop_percent"]:
        found["drop_reduction_vs_reactive_100ms"] = 1 - mine["drop_percent"] / slow["drop_percent"]
    if fast:
        found["drop_points_vs_reactive_10ms"] = mine["drop_percent"] - fast["drop_percent"]
    if "static-large" in figures:
        found["memory_ratio_vs_static_large"] = mine["held_kib_mean"] / figures["static-large"]["held_kib_mean"]
        found["granted_ratio_vs_static_large"] = mine["granted_kib_mean"] / figures["static-large"]["granted_kib_mean"]
    if "static-small" in figures:
        ratio = _bystander(runs, PRODUCT) / _bystander(runs, "static-small")
        found["bystander_p99_ratio_vs_static_small"] = ratio
    return found


def _bystander(runs: Sequence[Run], policy: str) -> float:
    chosen: list[Any] = [each for run in runs if run.plan.policy == policy for each in run.classes]
    return fmean(each.delay_ms_p99 for each in chosen if each.name == "bystander")
