"""`sentinel bench front`: drops, delay and memory of every policy against every pattern, in virtual time."""

from __future__ import annotations

from collections import defaultdict
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import click

from sentinel_api.errors import Invalid
from sentinel_lab import seasoning
from sentinel_lab.bench.front_figures import metrics
from sentinel_lab.bench.output import tell
from sentinel_lab.policies import CONTROLS, NAMES, NEEDS_TRUTH, known
from sentinel_lab.scenario import DRAINS, FLOORS, MIXED, ROUND_TRIPS_S, SINGLE
from sentinel_lab.sim.front import MIXED_PATTERN, Case, carried_out, row, scenario_of, smallest_pools
from sentinel_lab.traffic.patterns import TRACE, schedule

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

PATTERNS = ("cron", "flash", "flows", "microburst", "mixed", "periodic", "precursor", "random", "synflood")
QUICK_PATTERNS = ("periodic",)
QUICK_POLICIES = ("static-small", "static-large", "reactive-10ms", "reactive-100ms", "predictive", "oracle")
RIVAL = "reactive-10ms"  # the one that counts
POOL_POLICIES = ("static-large", "dynamic-threshold", RIVAL, "reactive-100ms", "predictive", "oracle")
SWEPT_POLICIES = ("static-small", RIVAL, "reactive-100ms", "predictive")
SWEPT = (("periodic", SINGLE), (MIXED_PATTERN, MIXED))
SECONDS, QUICK_SECONDS = 60.0, 30.0
LONG_SECONDS = {"cron": 120.0}  # a timetable of minutes says nothing in one of them
SEEDS = 3
SEEDLESS = ("flash", "periodic", "precursor")  # their schedules have nothing random, so one run says it all
POOL_SEEDS = 1
SIDE_BY_SIDE = 26


@click.command("front")
@click.option(
    "--pattern", "patterns", multiple=True, help=f"One of {', '.join(PATTERNS)}, or {TRACE}PATH; may be repeated."
)
@click.option("--policy", "policies", multiple=True, help=f"One of {', '.join(NAMES)}; may be repeated.")
@click.option("--seeds", type=click.IntRange(1, 100), help="How many runs of each, with another seed each time.")
@click.option("--sweep", is_flag=True, help="Periodic and mixed over other drains, limits and round trips, instead.")
@click.option("--quick", is_flag=True, help="Periodic bursts and six policies only.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def bench(
    patterns: tuple[str, ...],
    policies: tuple[str, ...],
    seeds: int | None,
    sweep: bool,
    quick: bool,
    as_json: bool,
) -> None:
    """Show what each policy drops, delays and holds, and the smallest pool with which it would have sufficed.

    \b
    Examples:
      sentinel bench front --quick --json
      sentinel bench front --pattern mixed --seeds 3 --json
      sentinel bench front --pattern trace:web.csv.gz@10
      sentinel bench front --sweep
    """
    if sweep and patterns:
        raise Invalid(f"the sweep is over {' and '.join(name for name, _ in SWEPT)} only: leave --pattern out")
    chosen = patterns or (QUICK_PATTERNS if quick else PATTERNS)
    rivals = policies or (QUICK_POLICIES if quick else NAMES)
    for each in rivals:
        known(each)
    runs = seeds or (1 if quick else SEEDS)
    if sweep:
        tell("front", {}, _rows(_swept(), {"swept": True}), as_json=as_json)
        return
    rows = _rows(list(_cases(chosen, rivals, runs, QUICK_SECONDS if quick else None)))
    found: list[dict[str, Any]] = []
    if MIXED_PATTERN in chosen and not quick:
        click.echo("mixed: the smallest pools", err=True)
        names = [each for each in POOL_POLICIES if each in rivals]
        found = smallest_pools(names, range(min(runs, POOL_SEEDS)), SECONDS)
    tell("front", metrics(rows, found), [*rows, *found], as_json=as_json)


def _rows(cases: Iterable[Case], mark: Mapping[str, Any] = MappingProxyType({})) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for mine in _batches(cases):
        click.echo(f"{mine[0].pattern}: {len(mine)} runs of {mine[0].seconds:g} s side by side", err=True)
        rows += [row(case, result) | dict(mark) for case, result in zip(mine, carried_out(mine), strict=True)]
    return rows


def _cases(patterns: Sequence[str], policies: Sequence[str], seeds: int, seconds: float | None) -> Iterator[Case]:
    for pattern in patterns:
        length = seconds if seconds is not None else LONG_SECONDS.get(pattern, SECONDS)
        if pattern.startswith(TRACE):
            schedule(pattern, length, begin_s=seasoning.PAST_S)  # refuses a file that is none, before anything is run
        elif pattern not in PATTERNS:
            raise Invalid(f"there is no pattern {pattern!r}; choose one of {', '.join(PATTERNS)}, {TRACE}PATH")
        for seed in range(1 if pattern in SEEDLESS else seeds):
            for policy in policies if seed == 0 else [each for each in policies if each not in CONTROLS]:
                if policy in NEEDS_TRUTH and not scenario_of(pattern).has_truth:
                    continue
                yield Case(scenario_of(pattern), pattern, policy, seed, length)


def _swept() -> Iterator[Case]:
    """Around the scenarios' constants, one of them changed at a time."""
    for pattern, whole in SWEPT:
        for scenario in (*map(whole.with_drain, DRAINS), *map(whole.with_floor, FLOORS)):
            if scenario != whole:
                yield from (Case(scenario, pattern, each, 0, SECONDS) for each in SWEPT_POLICIES)
    for each in ROUND_TRIPS_S:
        yield from (Case(MIXED, MIXED_PATTERN, name, 0, SECONDS, round_trip_s=each) for name in SWEPT_POLICIES)


def _batches(cases: Iterable[Case]) -> Iterator[list[Case]]:
    """Runs side by side need one length and one set of classes."""
    groups: dict[tuple[str, float], list[Case]] = defaultdict(list)
    for case in cases:
        groups[case.pattern, case.seconds].append(case)
    for mine in groups.values():
        for start in range(0, len(mine), SIDE_BY_SIDE):
            yield mine[start : start + SIDE_BY_SIDE]
