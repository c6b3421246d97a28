"""`sentinel model`: from nothing to a model with its card, or a refusal with numbers."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import json
from pathlib import Path
from typing import Any

import click

from sentinel_api.errors import Invalid

OUT = Path("out/model")


@click.group()
def model() -> None:
    """Train a model of bursts, accept or refuse it, and read its card.

    \b
    Examples:
      sentinel model train --quick
      sentinel model accept out/model/tcn.onnx --install default
      sentinel model card out/model/tcn.json
    """


@model.command()
@click.option("--quick", is_flag=True, help="A small run that shows that everything works, in some minutes.")
@click.option("--trunk", type=click.Choice(["lstm", "tcn", "both"]), default="both", help="What is trained.")
@click.option("--out", type=click.Path(path_type=Path), default=OUT, help="Where a run leaves its work, and goes on.")
def train(quick: bool, trunk: str, out: Path) -> None:
    """Train from nothing; after Ctrl-C the same command goes on from the last checkpoint.

    \b
    Examples:
      sentinel model train --quick --out out/quick
      sentinel model train --trunk lstm
    """
    training, export, finish = (_part(name) for name in ("train", "export", "finish"))
    plan = _planned(out, "quick" if quick else "full")
    told = _told
    shape = training.PLANS[plan]
    known, judged = (training.lessons(split, shape, out, told) for split in ("training", "validation"))
    try:
        for each in ("lstm", "tcn") if trunk == "both" else (trunk,):
            run = training.Training(each, shape, out, told)
            run.run(known, judged)
            end = finish.decide(run.network, judged)
            path = out / f"{each}.onnx"
            export.write(run.network, end, path)
            heads = [name for name, kept in zip(("hazard", "magnitude", "demand"), end.kept, strict=True) if kept]
            about = {"trunk": each, "plan": plan, "kept": heads}
            about |= {"slope": end.slope, "shift": end.shift, "sizes": end.sizes}
            path.with_suffix(".plan").write_text(json.dumps(about | dataclasses.asdict(shape)))
            told(f"written: {path}")
    except KeyboardInterrupt:
        raise click.ClickException(f"stopped; the same command goes on from {out}") from None


@model.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--install", "name", help="Copy the accepted model and its card among the agent's, under this name.")
def accept(path: Path, name: str | None) -> None:
    """Accept an export that `train` wrote, and write its card; refuse it with the numbers that are missing.

    \b
    Examples:
      sentinel model accept out/model/lstm.onnx
    """
    gate, cards, training = (_part(name) for name in ("accept", "card", "train"))
    about = _about(path)
    shape, folder = training.PLANS[about["plan"]], path.parent
    known, judged = (training.lessons(split, shape, folder, _told) for split in ("training", "validation"))
    validation = gate.examined(path, known, judged)
    gate.verdict(validation)
    digest = cards.digest(path)
    test = gate.examined(path, known, training.lessons(digest, shape, folder, _told))
    target = path if name is None else _installed(path, name)
    card = cards.of(target, about, validation, test)
    cards.write(card, target.parent)
    click.echo(cards.spelled(card))


@model.command()
@click.argument("path", type=click.Path(path_type=Path))
def card(path: Path) -> None:
    """Print the card of a model, given its .json.

    \b
    Examples:
      sentinel model card out/model/lstm.json
    """
    cards = _part("card")
    try:
        click.echo(cards.spelled(json.loads(path.with_suffix(".json").read_text())))
    except (OSError, ValueError) as error:
        raise Invalid(f"{path.with_suffix('.json')} is no card: name the .json beside a model") from error


def _part(name: str) -> Any:
    """PyTorch and LightGBM are extras, so what needs them is imported when it is called."""
    try:
        return importlib.import_module(f"sentinel_training.{name}")
    except ModuleNotFoundError as error:
        raise Invalid(f"this needs {error.name}: install the extra `training` of sentinel-buffers") from error


def _planned(out: Path, plan: str) -> str:
    """A folder keeps to the plan it was begun with."""
    out.mkdir(parents=True, exist_ok=True)
    marker = out / "plan"
    if marker.exists() and marker.read_text() != plan:
        raise Invalid(f"{out} was begun with the {marker.read_text()} plan: name another folder with --out")
    marker.write_text(plan)
    return plan


def _about(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.with_suffix(".plan").read_text())
        return found
    except (OSError, ValueError) as error:
        raise Invalid(f"{path} was not written by `sentinel model train`: run that first") from error


def _installed(path: Path, name: str) -> Path:
    spec = importlib.util.find_spec("sentinel_agent")
    if spec is None or spec.origin is None:
        raise Invalid("the agent's package is not installed: leave --install away")
    target = Path(spec.origin).parent / "predict" / "models" / f"{name}.onnx"
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(path.read_bytes())
    return target


def _told(line: str) -> None:
    click.echo(line, err=True)
