"""`sentinel bench crossover`: from which actuator latency on foresight pays, and for which traffic it never does."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sentinel_api.errors import Invalid
from sentinel_lab.bench.crossover_plot import drawn
from sentinel_lab.bench.output import tell
from sentinel_lab.sim.crossover import (
    LATENCIES_S,
    PRICE,
    Point,
    Subject,
    crossover,
    of_pattern,
    of_trace,
    poisson,
    settled,
)
from sentinel_training import traces

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

POISSON = "poisson"
PATTERNS = ("cron", "flash", "microburst", "periodic", "precursor", "random", POISSON)
SECONDS, QUICK_SECONDS = 2_400.0, 1_800.0
SEEDS = 2
FIRST_SEED = 100  # apart from the seeds that the learner's constants were chosen on
LONGEST_S, QUICK_LONGEST_S = 14_400.0, 3_000.0
QUICK_FILE_BYTES = 1_000_000
QUICK_PATTERNS = ("periodic", "random")
WORTH = 0.02
"""A gain below a fiftieth is not worth a forecast."""


@click.command("crossover")
@click.option("--traces", "folder", type=click.Path(path_type=Path), help="Folder of traces; all that can be used are.")
@click.option("--pattern", "patterns", multiple=True, help=f"One of {', '.join(PATTERNS)}; may be repeated.")
@click.option("--seeds", type=click.IntRange(1, 16), help="How many runs of each made pattern.")
@click.option("--plot", "picture", type=click.Path(path_type=Path), help="Write the plot to this PNG.")
@click.option("--quick", is_flag=True, help="Two patterns and the short traces only.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def bench(
    folder: Path | None,
    patterns: tuple[str, ...],
    seeds: int | None,
    picture: Path | None,
    quick: bool,
    as_json: bool,
) -> None:
    """Compare rules that are told of bursts with the best rule that only reacts, by how slow the actuator is.

    \b
    Examples:
      sentinel bench crossover --quick --json
      sentinel bench crossover --traces traces/ --plot crossover.png --json
    """
    chosen = patterns or (QUICK_PATTERNS if quick else PATTERNS)
    for each in chosen:
        if each not in PATTERNS:
            raise Invalid(f"there is no pattern {each!r}; choose one of {', '.join(PATTERNS)}")
    names = _names(folder, quick) if folder is not None else ()
    found: dict[str, list[Point]] = {}
    left_out: list[dict[str, Any]] = []
    for subject in _made(chosen, seeds or SEEDS, quick):
        click.echo(f"made: {subject.name}", err=True)
        found[subject.name] = crossover(subject)
    for name in names:
        assert folder is not None
        click.echo(f"trace: {name}", err=True)
        try:
            found[name] = crossover(of_trace(_load(folder, name, quick)))
        except Invalid as error:
            left_out.append({"subject": name, "left_out": str(error)})
    rows = [{"subject": name} | asdict(point) for name, points in found.items() for point in points]
    if picture is not None:
        picture.write_bytes(drawn(rows))
    tell("crossover", metrics(rows), [*rows, *left_out], as_json=as_json)


def _names(folder: Path, quick: bool) -> list[str]:
    """A quick run leaves large files out: reading them alone takes too long."""
    small = [each for each in traces.names(folder) if (folder / f"{each}.csv.gz").stat().st_size < QUICK_FILE_BYTES]
    return small if quick else list(traces.names(folder))


def _load(folder: Path, name: str, quick: bool) -> traces.Trace:
    return traces.load(folder, name, QUICK_LONGEST_S if quick else LONGEST_S)


def _made(patterns: Sequence[str], seeds: int, quick: bool) -> Iterator[Subject]:
    seconds = QUICK_SECONDS if quick else SECONDS
    numbers = range(FIRST_SEED, FIRST_SEED + seeds)
    for each in patterns:
        yield poisson(seconds, numbers) if each == POISSON else of_pattern(each, seconds, numbers)


def metrics(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Of the base price; every other price is in the rows. What is not settled has no figure."""
    told: dict[str, float] = {}
    for each in rows:
        if each["price"] != PRICE or not settled(each["gain"], each["gain_in_hindsight"]):
            continue
        prefix = f"{each['subject']}.{'oracle_' if each['source'] == 'oracle' else ''}"
        at = f"at_{spelled(each['latency_s'])}"
        told[f"{prefix}gain_{at}"] = each["gain"]
        if each["source"] == "product":
            told[f"{prefix}held_share_saved_{at}"] = each["reactive_held"] - each["held"]
            told[f"{prefix}drop_points_saved_{at}"] = 100 * (each["reactive_lost"] - each["lost"])
        if each["low"] > WORTH:
            name = f"{prefix}pays_from_s"
            told[name] = min(told.get(name, each["latency_s"]), each["latency_s"])
    return told


def spelled(latency_s: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if latency_s >= size * 0.999:
            return f"{latency_s / size:.0f}{unit}"
    raise Invalid(f"a latency of {latency_s} s cannot be named: give one of {LATENCIES_S}")
