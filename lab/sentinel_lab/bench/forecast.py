"""`sentinel bench forecast`: how well bursts are foreseen, on any folder of traces and on bursts made to order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sentinel_lab.bench.output import tell
from sentinel_training import evaluate, synthetic, traces

SYNTHETIC_S = 3_600.0
QUICK_SYNTHETIC_S = 2_400.0
SEEDS = range(16)
QUICK_SEEDS = range(8)
LONGEST_S = 3 * 86_400.0
"""Of a trace; more is cut, for a month of seconds takes an hour."""
QUICK_LONGEST_S = 6_000.0


@click.command()
@click.option(
    "--traces", "folder", type=click.Path(path_type=Path), help="Folder of traces; without it only made ones."
)
@click.option("--trace", "only", multiple=True, help="Name of one trace; may be repeated.")
@click.option("--quick", is_flag=True, help="Periodic and random bursts, and short traces, only.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def forecast(folder: Path | None, only: tuple[str, ...], quick: bool, as_json: bool) -> None:
    """Judge the schedule learner beside simple rules; it only ever sees the past.

    \b
    Examples:
      sentinel bench forecast --quick --json
      sentinel bench forecast --traces traces/ --trace web --json
    """
    metrics: dict[str, float] = {}
    rows: list[dict[str, Any]] = []
    for pattern in ("periodic", "random") if quick else sorted(synthetic.PATTERNS):
        click.echo(f"made: {pattern}", err=True)
        found = evaluate.of_pattern(
            pattern, QUICK_SYNTHETIC_S if quick else SYNTHETIC_S, QUICK_SEEDS if quick else SEEDS
        )
        metrics |= found[0]
        rows += found[1]
    for name in _chosen(folder, only):
        click.echo(f"trace: {name}", err=True)
        assert folder is not None
        try:
            trace = _load(folder, name, quick)
        except traces.NotUsable as error:
            rows.append({"trace": name, "left_out": str(error)})
            continue
        found = evaluate.of_trace(trace)
        metrics |= found[0]
        rows += found[1]
    tell("forecast", metrics, rows, as_json=as_json)


def _chosen(folder: Path | None, only: tuple[str, ...]) -> tuple[str, ...]:
    if folder is None:
        return ()
    return only or traces.names(folder)


def _load(folder: Path, name: str, quick: bool) -> traces.Trace:
    if quick:
        return traces.load(folder, name, QUICK_LONGEST_S)
    paired = name.endswith("_w2")
    return traces.load(folder, name, None if paired else LONGEST_S)
