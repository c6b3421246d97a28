"""What is decided on validation alone before a network is exported: its calibration, and which heads are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sentinel_core.inputs import DEMANDS, HAZARDS, IMPOSSIBLE, MAGNITUDES
from sentinel_core.signature import DEMAND_LEVELS, HAZARD_BINS, MAGNITUDE_LEVELS
from sentinel_training import judge
from sentinel_training.export import Finish
from sentinel_training.train import answers

if TYPE_CHECKING:
    from sentinel_training.lessons import Lessons
    from sentinel_training.network import Network

ROUNDS: Final = 12


def decide(net: Network, parts: list[Lessons]) -> Finish:
    said = [answers(net, part) for part in parts]
    slope, shift = _calibrated(parts, [each[0] for each in said])
    sizes = _covering(parts, [each[1] for each in said])
    said = [[each[0], each[1] + np.array(sizes, np.float32), each[2]] for each in said]
    loss = _log_loss(parts, [slope * each[0] + shift for each in said])
    own = _log_loss(parts, [part.x[:, :, HAZARDS] for part in parts])
    kept = (
        loss < own,
        _amount_loss(parts, [each[1] for each in said], MAGNITUDES) < _amount_loss(parts, None, MAGNITUDES),
        _amount_loss(parts, [each[2] for each in said], DEMANDS) < _amount_loss(parts, None, DEMANDS),
    )
    return Finish(slope, shift, kept, sizes)


def _covering(parts: list[Lessons], said: list[Any]) -> tuple[float, ...]:
    """By how much each log of a size is shifted so that on validation as many were below it as its level says."""
    gone = [part.magnitude[..., None] - told for part, told in zip(parts, said, strict=True)]
    beyond = np.concatenate([each.reshape(-1, len(MAGNITUDE_LEVELS)) for each in gone])
    beyond = beyond[np.isfinite(beyond).all(axis=1)]
    return tuple(float(np.quantile(beyond[:, at], level)) for at, level in enumerate(MAGNITUDE_LEVELS))


def _asked(part: Lessons) -> tuple[Any, Any]:
    second = np.arange(HAZARD_BINS)
    until = part.until_s[..., None]
    return (until >= second) & (until < second + 1), (until >= second) & (part.x[:, :, HAZARDS] > IMPOSSIBLE)


def _calibrated(parts: list[Lessons], logits: list[Any]) -> tuple[float, float]:
    """Two numbers by Newton's method: logistic regression of what came on what was said."""
    came, said = [], []
    for part, logit in zip(parts, logits, strict=True):
        each, asked = _asked(part)
        came.append(each[asked])
        said.append(logit[asked].astype(np.float64))
    y, x = np.concatenate(came).astype(np.float64), np.concatenate(said)
    table = np.stack([x, np.ones_like(x)], axis=1)
    found = np.array([1.0, 0.0])
    for _ in range(ROUNDS):
        p = 1.0 / (1.0 + np.exp(-(table @ found)))
        curvature = (table * (p * (1.0 - p))[:, None]).T @ table + 1e-6 * np.eye(2)
        found = found + np.linalg.solve(curvature, table.T @ (y - p))
    return float(found[0]), float(found[1])


def _log_loss(parts: list[Lessons], logits: list[Any]) -> float:
    total, count = 0.0, 0
    for part, logit in zip(parts, logits, strict=True):
        came, asked = _asked(part)
        signed = np.where(came, -logit, logit)[asked]
        total += float(np.logaddexp(0.0, signed).sum())
        count += int(asked.sum())
    return total / max(count, 1)


def _amount_loss(parts: list[Lessons], said: list[Any] | None, columns: slice) -> float:
    """Of the network's sizes or rates, or of the learners' own where `said` is None."""
    levels = MAGNITUDE_LEVELS if columns == MAGNITUDES else DEMAND_LEVELS
    beyond = []
    for at, part in enumerate(parts):
        truth = part.magnitude[..., None] if columns == MAGNITUDES else part.demand[..., None]
        told = part.x[:, :, columns] if said is None else said[at]
        gone = (truth - told.reshape(*truth.shape[:-1], len(levels))).reshape(-1, len(levels))
        beyond.append(gone[np.isfinite(gone).all(axis=1)])
    return judge.pinball(np.concatenate(beyond), levels)
