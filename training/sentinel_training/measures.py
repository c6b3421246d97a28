"""What is said of a forecast: ranking, calibration, alarms, each with the interval that its own clumping leaves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

BINS: Final = 10
BLOCK_S: Final = 300.0
REPLICATES: Final = 100
STANDS_S: Final = 10
"""An alarm is raised once and stands so long."""


def average_precision(truth: Bools, score: Floats) -> float | None:
    """Area under precision over recall; equal scores count as one step, so that no order among them helps."""
    total = int(truth.sum())
    if not total:
        return None
    order = np.argsort(-score, kind="stable")
    right = np.cumsum(truth[order])
    last = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))
    precision = right[last] / (last + 1)
    gained = np.diff(np.concatenate([[0], right[last]]))
    return float((precision * gained).sum() / total)


def recall_at(precision: float, truth: Bools, score: Floats) -> float | None:
    """The most of the truth that a threshold finds whose precision is at least that."""
    total = int(truth.sum())
    if not total:
        return None
    order = np.argsort(-score, kind="stable")
    right = np.cumsum(truth[order])
    last = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))
    good = right[last] / (last + 1) >= precision
    return float(right[last][good].max() / total) if good.any() else 0.0


def calibration_error(truth: Bools, chance: Floats) -> float:
    """Mean distance between what was said and what came, over equal bins of what was said."""
    at = np.minimum((chance * BINS).astype(np.int64), BINS - 1)
    said = np.bincount(at, chance, BINS)
    came = np.bincount(at, truth, BINS)
    return float(np.abs(said - came).sum() / len(truth))


def reliability(truth: Bools, chance: Floats) -> list[tuple[float, float, int]]:
    """For each bin of what was said: its mean, how often it came, and how many there were."""
    at = np.minimum((chance * BINS).astype(np.int64), BINS - 1)
    count = np.bincount(at, minlength=BINS)
    said, came = np.bincount(at, chance, BINS), np.bincount(at, truth, BINS)
    return [(float(said[k] / count[k]), float(came[k] / count[k]), int(count[k])) for k in np.flatnonzero(count)]


def interval(
    measure: Callable[[Bools, Floats], float | None], truth: Bools, score: Floats, step_s: float
) -> tuple[float, float] | None:
    """5 to 95 % by block bootstrap: neighbouring steps are nearly the same sample, so whole blocks are drawn."""
    block = round(BLOCK_S / step_s)
    blocks = len(truth) // block
    if blocks < 4:
        return None
    random = np.random.default_rng(0)
    truths = truth[: blocks * block].reshape(blocks, block)
    scores = score[: blocks * block].reshape(blocks, block)
    drawn = [random.integers(0, blocks, blocks) for _ in range(REPLICATES)]
    found = [measure(truths[which].ravel(), scores[which].ravel()) for which in drawn]
    known = [each for each in found if each is not None]
    return (float(np.quantile(known, 0.05)), float(np.quantile(known, 0.95))) if known else None


@dataclass(frozen=True, slots=True)
class Alarms:
    """Each alarm with what it was worth, each onset with whether it was foretold; leads in seconds."""

    raised: int
    right: int
    onsets: int
    foretold: int
    leads_s: tuple[float, ...]
    hours: float

    @property
    def precision(self) -> float | None:
        return self.right / self.raised if self.raised else None

    @property
    def recall(self) -> float | None:
        return self.foretold / self.onsets if self.onsets else None

    @property
    def false_per_hour(self) -> float:
        return (self.raised - self.right) / self.hours


def alarms(chance: Floats, onsets_s: Floats, threshold: float, window: tuple[int, int], step_s: float) -> Alarms:
    """An alarm at a step is right when a burst begins in the window after it; while it stands none is raised anew."""
    raised, until = [], -1.0
    for step in np.flatnonzero(chance >= threshold):
        now_s = (step + 1) * step_s
        if now_s >= until:
            raised.append(now_s)
            until = now_s + STANDS_S
    at = np.array(raised)
    first = np.searchsorted(onsets_s, at + window[0] - 1e-9)
    lead = np.append(onsets_s, np.inf)[first] - at
    right = lead < window[1] + 1e-9
    foretold = np.unique(first[right])
    hours = len(chance) * step_s / 3600.0
    return Alarms(len(at), int(right.sum()), len(onsets_s), len(foretold), tuple(lead[right].tolist()), hours)
