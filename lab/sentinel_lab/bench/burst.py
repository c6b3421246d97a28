"""`sentinel bench burst`: the same bursts under each policy in turn, on one machine, interleaved, resumable."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from sentinel_api.errors import Invalid
from sentinel_lab import experiment, policies
from sentinel_lab.bench import burst_figures, burst_page, burst_parts, burst_samples
from sentinel_lab.bench.burst_samples import MIXED_PATTERN, POOLS, Asked, Kept, Row, name_of, row_of
from sentinel_lab.bench.output import tell
from sentinel_lab.namespaces import require_root, unwind_when_told
from sentinel_lab.report import machine
from sentinel_lab.scenario import DRAINS, FLOORS, KIB, MIB, MIXED, OF_PATTERN, SCENARIOS
from sentinel_lab.seasoning import PAST_S
from sentinel_lab.traffic.patterns import SPELLINGS, TRACE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sentinel_lab.experiment import Plan

BURSTS: Final = ("cron", "flash", "microburst", "periodic", "precursor", "random", "scheduled", "synflood", "flows")
REPLAYED: Final = ("db_cloudphysics_w92_a", "llm_azure_conv_2023", "telemetry_4sics_day1_connections")
"""Traces of three kinds of load: storage with its periods, prompts as people asked, meters that are polled."""
QUICK_POLICIES: Final = ("static-small", "reactive-100ms", "reactive-10ms", policies.PRODUCT)
QUICK_SECONDS, FULL_SECONDS, FULL_ROUNDS = 6.1, 20.0, 3  # the first periodic burst ends after six
SETTLING_SECONDS: Final = 4.0
"""What a sample takes beside its traffic: processes start, the queue empties, everything is taken down."""
REFERENCE_POLICIES, REFERENCE_SECONDS = ("reactive-100ms", policies.PRODUCT), 60.0
QUICK_PAST_S: Final = 120.0
"""Twelve bursts: just enough to be believed, and done in a second and a half."""
ATTEMPTS: Final = 3  # a dirty sample is thrown away and taken again; it is never averaged
KEPT: Final = Path("out") / "bench" / "burst"
SWEPT: Final = ("static-small", "static-large", "reactive-10ms", "reactive-100ms", policies.PRODUCT)


@click.command()
@click.option("--quick", is_flag=True, help="Periodic bursts only, one short round, four policies.")
@click.option(
    "--pattern", "patterns", multiple=True, help=f"{', '.join(sorted({*OF_PATTERN, *SPELLINGS}))}; repeatable."
)
@click.option("--policy", "chosen", multiple=True, help=f"One of {', '.join(policies.NAMES)}; repeatable.")
@click.option(
    "--reference", is_flag=True, help="Periodic bursts for 60 s, once: reactive at 100 ms against predictive."
)
@click.option("--seconds", type=float, help="Length of each run.")
@click.option("--rounds", type=click.IntRange(1, 100), help="How often everything is run, each time with another seed.")
@click.option("--traces", type=click.Path(path_type=Path), help=f"Folder in which {', '.join(REPLAYED)} are, as well.")
@click.option("--sweep", is_flag=True, help="Over drains and static-small limits too.")
@click.option("--pool", "pools_mib", type=float, multiple=True, help="Mixed: pools to try, in MiB, before the whole.")
@click.option("--round-trip", "round_trip_ms", type=float, default=0.0, help="Milliseconds that TCP waits for answers.")
@click.option("--keep", type=click.Path(path_type=Path), help=f"Where samples are kept [{KEPT}; not with --quick].")
@click.option("--save", type=click.Path(path_type=Path), help="Write the JSON to this file too.")
@click.option("--add", is_flag=True, help="With --save: to the samples that the file has already, from other commands.")
@click.option("--page", type=click.Path(path_type=Path), help="Write the figures as a Markdown table to this file.")
@click.option("--picture", type=click.Path(path_type=Path), help="Only draw reactive against predictive, as PNG.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def burst(as_json: bool, save: Path | None, add: bool, page: Path | None, picture: Path | None, **options: Any) -> None:
    """Compare what each policy drops, delays and holds while bursts hit one node.

    Run it again to take up where it stopped: clean samples of the same code are kept. A sample that the machine spoiled
    (a late sender, a starved controller, a packet that cannot be accounted for) is refused and taken again.

    \b
    Examples:
      sudo sentinel bench burst --quick --json
      sudo sentinel bench burst --reference
      sudo sentinel bench burst --pattern mixed --rounds 3
      sudo sentinel bench burst --pattern random --rounds 3 --save burst.json --add
      sudo sentinel bench burst --pattern trace:/data/web.csv.gz@10 --policy oracle --policy reactive-10ms
      sudo sentinel bench burst --traces traces/
      sudo sentinel bench burst --picture docs/img/levitation.png
    """
    if add and save is None:
        raise Invalid("--add goes with --save FILE: say to which file")
    asked, folder = _asked(**options)
    plans = list(burst_samples.plans(asked))
    for plan in plans:
        experiment.check(plan)
    require_root()
    unwind_when_told()
    if picture is not None:
        burst_page.draw(picture, asked.seconds)
        click.echo(f"Picture: {picture}")
        return
    conditions = machine() | {"command": _command(sys.argv[1:]), "load_before": _load()}
    rows, refused = _taken(plans, Kept(folder, burst_parts.code()))
    conditions |= {"load_after": _load()}
    found = burst_figures.metrics(rows)
    answer = {"bench": "burst", "machine": conditions, "metrics": found, "rows": [*rows, *refused]}
    if save is not None:
        if add and save.exists():
            answer = burst_parts.joined(json.loads(save.read_text()), answer)
        save.parent.mkdir(parents=True, exist_ok=True)
        save.write_text(json.dumps(answer, indent=1) + "\n")
    if page is not None:
        page.write_text(burst_page.page(answer))
    if as_json:
        click.echo(json.dumps(answer, indent=2))
    else:
        tell("burst", found, rows, as_json=False)
    if refused:
        click.echo(f"{len(refused)} dirty samples were refused; their rows say why.", err=True)
    if len(rows) < len(plans):
        raise SystemExit(1)


def _pools(asked_mib: tuple[float, ...]) -> tuple[int, ...]:
    """The whole pool is always among them: all policies meet there."""
    tried = {MIXED.with_pool(int(each * MIB)).pool_bytes for each in asked_mib if each * MIB < MIXED.pool_bytes}
    return (*sorted(tried), MIXED.pool_bytes) if asked_mib else POOLS


def _command(arguments: Sequence[str]) -> str:
    """As it was given, but for where traces lay."""
    near = [re.sub(rf"^({TRACE})?/.*/(.)", r"\1\2", each.rstrip("/")) for each in arguments]
    return " ".join(["sentinel", *near])


def _load() -> str:
    return f"{os.getloadavg()[0]:.1f}"


def _asked(
    *, quick: bool, reference: bool, sweep: bool, keep: Path | None, traces: Path | None, **options: Any
) -> tuple[Asked, Path | None]:
    """The samples wanted, and where they are kept."""
    if options["seconds"] is not None and options["seconds"] <= 0:
        raise Invalid("the run's length must be greater than zero")
    for each in options["chosen"]:
        policies.known(each)
    asked = Asked(
        patterns=(*_patterns(quick or reference, options["patterns"]), *_replays(traces)),
        policies=options["chosen"] or _rivals(quick, reference, sweep),
        seconds=options["seconds"] or (QUICK_SECONDS if quick else REFERENCE_SECONDS if reference else FULL_SECONDS),
        seeds=options["rounds"] or (1 if quick or reference else FULL_ROUNDS),
        past_s=QUICK_PAST_S if quick else PAST_S,
        drains=DRAINS if sweep else (),
        floors=FLOORS if sweep else (),
        pools=_pools(options["pools_mib"]),
        round_trip_ms=options["round_trip_ms"],
        once=frozenset() if options["chosen"] else policies.CONTROLS,
    )
    return asked, keep or (None if quick else KEPT)


def _patterns(one: bool, chosen: tuple[str, ...]) -> tuple[str, ...]:
    return chosen or (("periodic",) if one else (*BURSTS, MIXED_PATTERN))


def _replays(folder: Path | None) -> tuple[str, ...]:
    return tuple(f"{TRACE}{folder / each}.csv.gz" for each in REPLAYED) if folder is not None else ()


def _rivals(quick: bool, reference: bool, sweep: bool) -> tuple[str, ...]:
    if quick:
        return QUICK_POLICIES
    if reference:
        return REFERENCE_POLICIES
    return SWEPT if sweep else policies.NAMES


def _taken(plans: list[Plan], kept: Kept) -> tuple[list[Row], list[Row]]:
    """Clean rows, and those that were refused."""
    rows: list[Row] = []
    refused: list[Row] = []
    began, taken = time.monotonic(), 0
    missing = [plan for plan in plans if kept.find(plan) is None]
    click.echo(f"{_foretold(missing)}; {len(plans) - len(missing)} kept from before.", err=True)
    for number, plan in enumerate(plans, start=1):
        row = kept.find(plan)
        if row is None:
            left_s = (time.monotonic() - began) / taken * (len(plans) - number + 1) if taken else 0.0
            left = f", about {left_s / 60:.0f} min left" if taken else ""
            click.echo(f"{number} of {len(plans)}: {_spelled(plan)}{left}", err=True)
            row, taken = _clean(plan, refused), taken + 1
            if row is None:
                continue
            kept.keep(plan, row)
        rows.append(row)
    return rows, refused


def _foretold(plans: Sequence[Plan]) -> str:
    minutes = sum(plan.seconds + SETTLING_SECONDS for plan in plans) / 60
    return f"{len(plans)} samples, about {minutes:.0f} min if none is refused"


def _spelled(plan: Plan) -> str:
    scenario = plan.scenario
    pool, floor = scenario.pool_bytes // KIB, scenario.floor_bytes // KIB
    extra = "" if scenario in SCENARIOS.values() else f", pool {pool} KiB, floor {floor} KiB"
    return f"{name_of(plan)}, {plan.policy}, seed {plan.seed}{extra}"


def _clean(plan: Plan, refused: list[Row]) -> Row | None:
    for _ in range(ATTEMPTS):
        began = time.monotonic()
        run = experiment.carried_out(plan)
        told = {"load": os.getloadavg()[0], "code": burst_parts.code(), "took_s": time.monotonic() - began}
        row = row_of(run.figures(), plan) | told
        if not run.dirt:
            return row
        click.echo(f"  refused: {run.dirt[0]}", err=True)
        refused.append(row)
    return None
