"""An export is accepted by numbers, or refused with the sentence that says which one is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from sentinel_api.errors import Invalid
from sentinel_api.records import CLASSES, HORIZONS_S
from sentinel_core.events import WINDOWS
from sentinel_training import judge
from sentinel_training.session import Session

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sentinel_training.lessons import Lessons

MOST_BYTES: Final = 5 << 20
MOST_ECE: Final = 0.05
MOST_P50_MS: Final = 0.2
MOST_P99_MS: Final = 1.0
COVERED: Final = (0.85, 0.95)
"""Of the bursts are below p90 of their size."""
DEMAND_SLACK: Final = 1.02
SPEED_ROUNDS: Final = 5
"""The best of some rounds: a shared machine is slower than itself most of the time."""


def examined(path: Path, training: list[Lessons], parts: list[Lessons]) -> dict[str, Any]:
    """Everything the verdict and the card need, measured on `parts`."""
    session = Session(path)
    rounds = [session.step_ms(CLASSES) for _ in range(SPEED_ROUNDS)]
    return {
        "bytes": path.stat().st_size,
        "step_ms_p50": min(each[0] for each in rounds),
        "step_ms_p99": min(each[1] for each in rounds),
        "model": judge.marks(parts, [judge.exported(session, part) for part in parts]),
        "learners": judge.marks(parts, [judge.learners(part) for part in parts]),
        **judge.rules(training, parts),
    }


def verdict(found: dict[str, Any]) -> None:
    """Raises `Invalid` with every reason at once."""
    wrong = [*_costs(found), *_foresight(found), *_demand(found)]
    if wrong:
        raise Invalid(f"the model is not accepted: {'; '.join(wrong)}")


def _costs(found: dict[str, Any]) -> Iterator[str]:
    if found["bytes"] > MOST_BYTES:
        yield f"its {found['bytes']} bytes are more than {MOST_BYTES}"
    if found["step_ms_p50"] > MOST_P50_MS:
        yield f"a step of {CLASSES} classes takes {found['step_ms_p50']:.2f} ms, more than {MOST_P50_MS}"
    if found["step_ms_p99"] > MOST_P99_MS:
        yield f"one step in a hundred takes {found['step_ms_p99']:.2f} ms, more than {MOST_P99_MS}"


def _foresight(found: dict[str, Any]) -> Iterator[str]:
    model, learners = found["model"], found["learners"]
    for window in WINDOWS:
        if model[f"ece_{window}"] > MOST_ECE:
            yield f"its calibration error in {window} is {model[f'ece_{window}']:.3f}, more than {MOST_ECE}"
        for rival in ("learners", "lightgbm", "persistence", "surge"):
            theirs, own = found[rival][f"ap_{window}"], model[f"ap_{window}"]
            if own <= theirs:
                yield f"its average precision in {window} is {own:.3f}, that of {rival} {theirs:.3f}"
    if model["log_loss"] >= learners["log_loss"]:
        yield f"its log loss {model['log_loss']:.4f} is not below the learners' {learners['log_loss']:.4f}"
    if not COVERED[0] <= model["magnitude_below_p90"] <= COVERED[1]:
        yield f"{100 * model['magnitude_below_p90']:.0f} % of the bursts are below p90 of their size, not 85 to 95 %"


def _demand(found: dict[str, Any]) -> Iterator[str]:
    for horizon in HORIZONS_S:
        own, theirs = (found[who][f"demand_loss_{horizon}"] for who in ("model", "learners"))
        if own > DEMAND_SLACK * theirs:
            yield f"its loss of demand at {horizon} s is {own:.4f}, the learners' {theirs:.4f}"
