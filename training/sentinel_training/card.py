"""A model's card: what it is, how it came to be, and how it did beside its rivals, for programs and for people."""

from __future__ import annotations

import datetime
import hashlib
import json
import platform
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

from sentinel_core import inputs
from sentinel_core.events import WINDOWS
from sentinel_training import scenes

if TYPE_CHECKING:
    from pathlib import Path

RIVALS: Final = ("model", "learners", "lightgbm", "surge", "persistence")
WHAT: Final = {
    "model": "this model",
    "learners": "learners alone",
    "lightgbm": "LightGBM on the same inputs",
    "surge": "rate over its slow mean",
    "persistence": "time since the last burst",
}
WHAT_TRUNK: Final = {"lstm": "An LSTM", "tcn": "A temporal convolution (TCN)"}


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def of(path: Path, plan: dict[str, Any], validation: dict[str, Any], test: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": path.stem,
        "digest": digest(path),
        "inputs_digest": inputs.DIGEST,
        "trunk": plan["trunk"],
        "command": f"sentinel model train --trunk {plan['trunk']}{' --quick' if plan['plan'] == 'quick' else ''}",
        "plan": plan,
        "data": "made scenes only; no trace was learned from",
        "kinds": list(scenes.KINDS),
        "validation": validation,
        "test": test,
        "made_with": {name: metadata.version(name) for name in ("torch", "numpy", "onnxruntime")}
        | {"python": platform.python_version()},
        "date": datetime.datetime.now(tz=datetime.UTC).date().isoformat(),
    }


def write(card: dict[str, Any], folder: Path) -> None:
    (folder / f"{card['name']}.json").write_text(json.dumps(card, indent=2, sort_keys=True) + "\n")
    (folder / f"{card['name']}.md").write_text(spelled(card))


def spelled(card: dict[str, Any]) -> str:
    test = card["test"]
    lines = [
        f"# Model `{card['name']}`",
        "",
        f"{WHAT_TRUNK[card['trunk']]} that corrects what the agent's learners say of each traffic class, one step of",
        "100 ms a call. It was trained on made scenes only, so it knows no schedule: those the learners find while",
        "they run. Without it the agent forecasts with the learners alone.",
        "",
        "| what | value |",
        "|---|---|",
        f"| digest | `{card['digest']}` |",
        f"| inputs | `{card['inputs_digest']}` |",
        f"| made by | `{card['command']}`, then `sentinel model accept` |",
        f"| on | {', '.join(f'{name} {version}' for name, version in sorted(card['made_with'].items()))} |",
        f"| size | {test['bytes']} bytes |",
        f"| one step of 16 classes, one thread | p50 {test['step_ms_p50']:.3f} ms, p99 {test['step_ms_p99']:.3f} ms |",
        f"| calibration | slope {card['plan']['slope']:.3f}, shift {card['plan']['shift']:.3f} (validation) |",
        f"| logs of sizes shifted by | {', '.join(f'{each:+.2f}' for each in card['plan']['sizes'])} (validation) |",
        f"| heads kept on validation | {', '.join(card['plan']['kept']) or 'none'} |",
        "",
        "## On scenes drawn after training",
        "",
        "The seeds of these scenes follow from the model's own digest, so nothing could be chosen by them. Average",
        "precision beside the base rate:",
        "",
        *_ranking(test),
        "",
        "Calibration error, log loss a second, and pinball losses in logs (sum over the quantiles):",
        "",
        *_losses(test),
        "",
        "## By kind of traffic, [5,10] s",
        "",
        *_kinds(test),
        "",
        "Where the model's column is not the largest of a row, it loses there. Random bursts and floods have no",
        "schedule and no sign before them; what is ranked there is only the time that a burst takes to be over.",
        "",
    ]
    return "\n".join(lines)


def _ranking(found: dict[str, Any]) -> list[str]:
    rows = ["| who | [1,10] s | [5,10] s |", "|---|---|---|"]
    rows.append("| base rate | " + " | ".join(f"{found['model'][f'base_{w}']:.3f}" for w in WINDOWS) + " |")
    return rows + [
        f"| {WHAT[who]} | " + " | ".join(f"{found[who][f'ap_{w}']:.3f}" for w in WINDOWS) + " |" for who in RIVALS
    ]


def _losses(found: dict[str, Any]) -> list[str]:
    keys = [key for key in found["model"] if key.startswith(("ece", "log_loss", "magnitude", "demand"))]
    rows = ["| figure | this model | learners alone |", "|---|---|---|"]
    return rows + [f"| {key} | {found['model'][key]:.4f} | {found['learners'][key]:.4f} |" for key in keys]


def _kinds(found: dict[str, Any]) -> list[str]:
    rows = ["| kind | " + " | ".join(WHAT[who] for who in RIVALS) + " |", "|---" * (1 + len(RIVALS)) + "|"]
    for kind in sorted(scenes.KINDS):
        key = f"{kind}.ap_5_10"
        if key in found["model"]:
            rows.append(f"| {kind} | " + " | ".join(f"{found[who][key]:.3f}" for who in RIVALS) + " |")
    return rows
