"""Who foresees best on lessons that chose nothing: the export itself, the learners alone, trees, and simple rules."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sentinel_api.records import HORIZONS_S
from sentinel_core.events import WINDOWS
from sentinel_core.inputs import COLUMNS, DEMANDS, FLOORS, HAZARDS, IMPOSSIBLE, MAGNITUDES
from sentinel_core.signature import DEMAND_LEVELS, MAGNITUDE_LEVELS
from sentinel_training import measures

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from sentinel_training.lessons import Lessons
    from sentinel_training.session import Session

    Floats = NDArray[np.float64]
    Table = NDArray[np.float32]

EVERY: Final = 5
"""Neighbouring steps are nearly the same sample."""
ROUNDS, LEAVES, TREE_ROWS = 150, 31, 200_000
SMALLEST: Final = 1e-6


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """Of one part of the lessons, [steps, series, …]: chances a second, and logs over the class's scale."""

    hazard: Table
    magnitude: Table
    demand: Table


def learners(part: Lessons) -> Said:
    logit = part.x[:, :, HAZARDS]
    hazard = np.where(logit > IMPOSSIBLE, 1.0 / (1.0 + np.exp(-logit)), 0.0)
    return Said(hazard.astype(np.float32), part.x[:, :, MAGNITUDES], part.x[:, :, DEMANDS])


def exported(session: Session, part: Lessons) -> Said:
    """The file itself, one step a call as in the agent; its amounts are brought back to logs over the scale."""
    steps, series = part.valid.shape
    hazard = np.zeros((steps, series, HAZARDS.stop - HAZARDS.start), np.float32)
    magnitude = np.zeros((steps, series, len(MAGNITUDE_LEVELS)), np.float32)
    demand = np.zeros((steps, series, len(HORIZONS_S) * len(DEMAND_LEVELS)), np.float32)
    state = session.start(series)
    for step in range(steps):
        hazard[step], sizes, rates, state = session.step(part.x[step], part.valid[step], state)
        scale = part.x[step, :, -1:]
        magnitude[step] = np.log(sizes + 1.0) - scale
        demand[step] = np.log(rates.reshape(series, -1) + FLOORS[0]) - scale
    return Said(hazard, magnitude, demand)


def marks(parts: list[Lessons], said: list[Said]) -> dict[str, float]:
    """Ranking and calibration by window, by kind of traffic too; losses of sizes and demand, with what they cover."""
    found: dict[str, float] = {}
    for name, window in WINDOWS.items():
        truth, told, kinds = _pooled(parts, [measures.chances(each.hazard, window)[0] for each in said], window)
        found[f"base_{name}"] = float(truth.mean())
        found |= ranking(truth, told, kinds, name)
        found[f"ece_{name}"] = measures.calibration_error(truth, told)
    found["log_loss"] = _log_loss(parts, said)
    return found | _amounts(parts, said)


def ranking(truth: NDArray[np.bool_], told: Floats, kinds: NDArray[Any], name: str) -> dict[str, float]:
    found = {f"ap_{name}": measures.average_precision(truth, told) or 0.0}
    for kind in np.unique(kinds):
        own = measures.average_precision(truth[kinds == kind], told[kinds == kind])
        if own is not None:
            found[f"{kind}.ap_{name}"] = own
    return found


def rules(training: list[Lessons], parts: list[Lessons]) -> Mapping[str, dict[str, float]]:
    """Rivals that only rank: boosted trees on the model's own inputs, and simple rules on single columns."""
    found: dict[str, dict[str, float]] = {"lightgbm": {}, "persistence": {}, "surge": {}}
    for name, window in WINDOWS.items():
        scores: dict[str, list[Any]] = {
            "persistence": [-part.x[:, :, COLUMNS.index("log_age")] for part in parts],
            "surge": [part.x[:, :, COLUMNS.index("packet_rate")] for part in parts],
            "lightgbm": _trees(training, parts, window),
        }
        for rule, score in scores.items():
            truth, told, kinds = _pooled(parts, [each.astype(np.float64) for each in score], window)
            found[rule] |= ranking(truth, told, kinds, name)
    return found


def _pooled(
    parts: list[Lessons], told: list[Floats], window: tuple[int, int]
) -> tuple[NDArray[np.bool_], Floats, NDArray[Any]]:
    """Every fifth step of 100 ms and every step of a second, of all classes, but those with a gap just there."""
    truths, scores, kinds = [], [], []
    for part, each in zip(parts, told, strict=True):
        every = EVERY if part.step_s < 1.0 else 1
        known = part.valid[::every] > 0
        until = part.until_s[::every]
        truths.append(((until >= window[0]) & (until < window[1]))[known])
        scores.append(each[::every][known])
        kinds.append(np.broadcast_to(np.array(part.kinds), known.shape)[known])
    return np.concatenate(truths), np.concatenate(scores), np.concatenate(kinds)


def _trees(training: list[Lessons], parts: list[Lessons], window: tuple[int, int]) -> list[Floats]:
    import lightgbm  # noqa: PLC0415 - only training needs it

    rows = np.concatenate([part.x[:, :, :-1].reshape(-1, len(COLUMNS) - 1) for part in training])
    until = np.concatenate([part.until_s.ravel() for part in training])
    chosen = np.random.default_rng(0).choice(len(rows), min(TREE_ROWS, len(rows)), replace=False)
    truth = (until[chosen] >= window[0]) & (until[chosen] < window[1])
    table = lightgbm.Dataset(rows[chosen], truth.astype(np.float64))
    settings = {"objective": "binary", "num_leaves": LEAVES, "learning_rate": 0.08, "verbose": -1, "num_threads": 1}
    model: Any = lightgbm.train(settings | {"seed": 0, "deterministic": True}, table, ROUNDS)
    found = []
    for part in parts:
        score = model.predict(part.x[:, :, :-1].reshape(-1, len(COLUMNS) - 1), num_threads=1)
        found.append(np.asarray(score).reshape(part.valid.shape))
    return found


def _log_loss(parts: list[Lessons], said: list[Said]) -> float:
    """Of each second that could bring an onset."""
    total, asked = 0.0, 0.0
    for part, each in zip(parts, said, strict=True):
        hazard = np.clip(each.hazard, SMALLEST, 1.0 - SMALLEST)
        second = np.arange(hazard.shape[-1])
        until = part.until_s[..., None]
        came = (until >= second) & (until < second + 1)
        open_ = (until >= second) & (part.x[:, :, HAZARDS] > IMPOSSIBLE)
        total -= float(np.log(np.where(came, hazard, 1.0 - hazard))[open_].sum())
        asked += float(open_.sum())
    return total / max(asked, 1.0)


def _amounts(parts: list[Lessons], said: list[Said]) -> dict[str, float]:
    over = [part.magnitude[..., None] - each.magnitude for part, each in zip(parts, said, strict=True)]
    beyond = np.concatenate([each.reshape(-1, len(MAGNITUDE_LEVELS)) for each in over])
    beyond = beyond[np.isfinite(beyond).all(axis=1)]
    found = {"magnitude_loss": pinball(beyond, MAGNITUDE_LEVELS)}
    found |= {
        f"magnitude_below_p{level * 100:.0f}": float((beyond[:, at] <= 0).mean())
        for at, level in enumerate(MAGNITUDE_LEVELS)
    }
    for at, horizon in enumerate(HORIZONS_S):
        own = slice(at * len(DEMAND_LEVELS), (at + 1) * len(DEMAND_LEVELS))
        gone = [p.demand[:, :, at, None] - each.demand[:, :, own] for p, each in zip(parts, said, strict=True)]
        table = np.concatenate([each.reshape(-1, len(DEMAND_LEVELS)) for each in gone])
        table = table[np.isfinite(table).all(axis=1)]
        found[f"demand_loss_{horizon}"] = pinball(table, DEMAND_LEVELS)
        found[f"demand_below_p95_{horizon}"] = float((table[:, -1] <= 0).mean())
    return found


def pinball(beyond: NDArray[Any], levels: tuple[float, ...]) -> float:
    """Mean over rows of the sum over levels; `beyond` is what came less what was said."""
    level = np.array(levels)
    return float(np.maximum(level * beyond, (level - 1.0) * beyond).sum(axis=1).mean()) if len(beyond) else 0.0
