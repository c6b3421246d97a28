"""`sentinel bench forecast`: how well bursts are foreseen, on any folder of traces and on bursts made to order."""

from __future__ import annotations

import importlib
import multiprocessing
from concurrent import futures
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sentinel_api.errors import Invalid
from sentinel_lab.bench import forecast_page
from sentinel_lab.bench.output import tell
from sentinel_training import evaluate, synthetic, traces

if TYPE_CHECKING:
    from collections.abc import Sequence

SYNTHETIC_S = 2_400.0
SEEDS = range(8)
DEFAULT = "builtin:default"
"""What an agent runs with."""
LONGEST_S = 2 * 86_400.0
"""Of a trace; more is cut, for a month of seconds takes an hour."""
QUICK_LONGEST_S = 6_000.0


@click.command()
@click.option(
    "--traces", "folder", type=click.Path(path_type=Path), help="Folder of traces; without it only made ones."
)
@click.option("--trace", "only", multiple=True, help="Name of one trace; may be repeated.")
@click.option("--model", "ref", default=DEFAULT, help="builtin:NAME or a .onnx file; none for the learners alone.")
@click.option("--plots", type=click.Path(path_type=Path), help="Folder for one page a trace.")
@click.option("--quick", is_flag=True, help="Periodic and random bursts, and the first hours of traces, only.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def forecast(
    folder: Path | None, only: tuple[str, ...], ref: str, plots: Path | None, quick: bool, as_json: bool
) -> None:
    """Judge forecasts beside simple rules; they only ever see the past.

    \b
    Examples:
      sentinel bench forecast --quick --json
      sentinel bench forecast --traces traces/ --trace web --plots out/forecast
      sentinel bench forecast --model none --traces traces/ --json
    """
    session = _session(ref)
    patterns = ("periodic", "random") if quick else tuple(sorted(synthetic.PATTERNS))
    with futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as beside:
        made = beside.submit(_of_patterns, patterns, ref)
        usable, left_out = _usable(folder, only, QUICK_LONGEST_S if quick else LONGEST_S)
        found = _of_traces(usable, session)
        metrics, rows = made.result()
    rows += left_out
    if plots is not None:
        forecast_page.written(plots, found[1])
    tell("forecast", metrics | found[0], rows + found[1], as_json=as_json)


def _of_patterns(patterns: Sequence[str], ref: str) -> Any:
    """In a process of its own, which loads the model itself."""
    return evaluate.of_patterns(patterns, SYNTHETIC_S, SEEDS, _session(ref))


def _usable(
    folder: Path | None, only: tuple[str, ...], longest_s: float
) -> tuple[list[traces.Trace], list[dict[str, Any]]]:
    """What can be judged, and a row for each that cannot."""
    found: list[traces.Trace] = []
    left_out: list[dict[str, Any]] = []
    for name in _chosen(folder, only):
        assert folder is not None
        try:
            found.append(traces.load(folder, name, longest_s))
        except traces.NotUsable as error:
            left_out.append({"trace": name, "left_out": str(error)})
    return found, left_out


def _of_traces(usable: Sequence[traces.Trace], session: Any) -> tuple[dict[str, float], list[dict[str, Any]]]:
    metrics: dict[str, float] = {}
    rows: list[dict[str, Any]] = []
    if usable:
        seen = evaluate.walked(usable, session, _said)
        for at, trace in enumerate(usable):
            _said(f"judged: {trace.name}")
            found = evaluate.of_trace(trace, seen, at)
            metrics |= found[0]
            rows += found[1]
    return metrics, rows


def _session(ref: str) -> Any:
    """The agent's own check of the file, then stepped as in training: any number of classes at once."""
    if ref == "none":
        return None
    try:
        onnx = importlib.import_module("sentinel_agent.predict.onnx")
        session = importlib.import_module("sentinel_training.session")
    except ModuleNotFoundError as error:
        raise Invalid(f"--model needs {error.name}: install the extra `agent` of sentinel-buffers") from error
    onnx.load(ref)
    return session.Session(onnx.file_of(ref))


def _chosen(folder: Path | None, only: tuple[str, ...]) -> tuple[str, ...]:
    if folder is None:
        return ()
    return only or traces.names(folder)


def _said(line: str) -> None:
    click.echo(line, err=True)
