"""`sentinel dataset record`: what an agent would have seen of many bursts, as a table with the truth beside it."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pyarrow import csv as arrow_csv
from pyarrow import parquet

from sentinel_api.errors import Invalid
from sentinel_core.sample import PERIOD_NS, Sample
from sentinel_lab import seasoning
from sentinel_lab.scenario import SINGLE
from sentinel_lab.traffic.patterns import PATTERNS, TRACE, schedule

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PERIOD_S: Final = PERIOD_NS / 1e9
RUN_S: Final = 600.0
"""A run begins with a predictor that knows nothing, and is long enough to learn in."""
NEVER: Final = -1.0
SLACK: Final = 1e-9  # instants on the grid must not fall to either side of it by rounding
WRITERS: Final = {".parquet": parquet.write_table, ".csv": arrow_csv.write_csv}
SYNTHETIC: Final = tuple(sorted(set(PATTERNS) - {"steady", "syns"}))


@click.group()
def dataset() -> None:
    """Record traffic to train and to judge predictors with.

    \b
    Example:
      sentinel dataset record --bursts 1000 --out bursts.parquet
    """


@dataset.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("out/dataset.parquet"), show_default=True)
@click.option("--bursts", default=1000, show_default=True, help="Record at least so many, spread over the patterns.")
@click.option("--pattern", "patterns", multiple=True, help="Only these; repeatable. [all that have bursts]")
@click.option("--trace", "traces", multiple=True, help="Replay this trace too, as PATH or PATH@SPEED; repeatable.")
@click.option("--seed", default=0, show_default=True, help="The first seed; each run takes the next.")
def record(out: Path, bursts: int, patterns: tuple[str, ...], traces: tuple[str, ...], seed: int) -> None:
    """Write 100 ms samples of synthetic and replayed bursts, with the truth, to a Parquet or CSV file.

    Nothing is sent: each schedule runs through a queue of the lab's own size and rate, as a fluid. A row is a class in
    one period: the fields of a sample, and beside them run, pattern, seed, whether a burst was on or began in the
    period, and the seconds to the next onset (-1: none in this run). A model must never see those.

    \b
    Examples:
      sentinel dataset record
      sentinel dataset record --bursts 5000 --out bursts.csv --pattern cron:1.5 --pattern periodic
      sentinel dataset record --trace /data/web.csv.gz@10
    """
    if out.suffix not in WRITERS:
        raise Invalid(f"{out} has no known kind: end its name with {' or '.join(WRITERS)}")
    if bursts < 1:
        raise Invalid(f"{bursts} bursts cannot be recorded: ask for at least 1")
    chosen = (*(patterns or SYNTHETIC), *(f"{TRACE}{each}" for each in traces))
    for each in chosen:
        schedule(each, RUN_S, seed)
    table, found = recorded(chosen, bursts, seed)
    out.parent.mkdir(parents=True, exist_ok=True)
    WRITERS[out.suffix](table, out)
    click.echo(f"{out}: {table.num_rows:,} rows with {found:,} bursts of {len(chosen)} patterns")


def recorded(patterns: Sequence[str], bursts: int, seed: int) -> tuple[Any, int]:
    """In turns, so that no pattern makes up the number alone; a trace is there once, since it has no other seed."""
    tables, found = [], 0
    for run in count():
        pattern = patterns[run % len(patterns)]
        again = run >= len(patterns)
        if again and found >= bursts:
            break
        if again and pattern.startswith(TRACE):
            continue
        if again and not any(not each.startswith(TRACE) for each in patterns):
            break
        lives = [seasoning.life(each, pattern, RUN_S, seed + run, past_s=0.0) for each in SINGLE.classes]
        found += len(lives[0].run.bursts)
        tables.append(_table(run, pattern, seed + run, lives))
        if again and run >= 2 * len(patterns) and not found:
            raise Invalid(f"{', '.join(patterns)} have no bursts: choose patterns that have")
    return pa.concat_tables(tables), found


def _table(run: int, pattern: str, seed: int, lives: Sequence[seasoning.Life]) -> Any:
    samples = list(seasoning.fluid(SINGLE, [each.run for each in lives], [each.of for each in lives], RUN_S, 0))
    rows = np.concatenate(list(_rows(samples, [each.of.id for each in lives])))
    columns = {name: pa.array(rows[name]) for name in rows.dtype.names or ()}
    truths = {each.of.id: _truth(each.run.bursts, len(samples)) for each in lives}
    order = rows["class"]
    for index, name in enumerate(("burst", "onset", "seconds_to_onset")):
        per_class = np.empty(len(rows), truths[lives[0].of.id][index].dtype)
        for each, truth in truths.items():
            per_class[order == each] = truth[index]
        columns[name] = pa.array(per_class)
    named = pattern if not pattern.startswith(TRACE) else pattern.rpartition("/")[2]
    head = {"run": np.full(len(rows), run), "seed": np.full(len(rows), seed)}
    return pa.table({name: pa.array(each) for name, each in head.items()} | {"pattern": [named] * len(rows)} | columns)


def _rows(samples: Sequence[Sample], classes: Sequence[int]) -> Iterator[npt.NDArray[np.void]]:
    for sample in samples:
        yield sample.rows()[list(classes)]


def _truth(
    bursts: Sequence[tuple[float, float]], steps: int
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_], npt.NDArray[np.float64]]:
    """Of each period: a burst was on in it, one began in it, and how long after its end the next one begins."""
    ends = (np.arange(steps) + 1) * PERIOD_S
    on, onset, ahead = np.zeros(steps, np.bool_), np.zeros(steps, np.bool_), np.full(steps, NEVER)
    for start, end in bursts:
        first = int(start / PERIOD_S + SLACK)
        on[first : max(first + 1, int(np.ceil(end / PERIOD_S - SLACK)))] = True
        onset[first] = True
    starts = np.array([start for start, _ in bursts])
    following = np.searchsorted(starts, ends - SLACK)
    known = following < len(starts)
    ahead[known] = starts[following[known]] - ends[known]
    return on, onset, ahead
