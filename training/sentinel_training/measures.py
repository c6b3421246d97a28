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
    Table = NDArray[np.float32] | Floats

BINS: Final = 10
BLOCK_S: Final = 300.0
REPLICATES: Final = 100
STANDS_S: Final = 10
"""An alarm is raised once and stands so long."""


def average_precision(truth: Bools, score: Floats, weight: Floats | None = None) -> float | None:
    """Area under precision over recall; equal scores count as one step, so that no order among them helps."""
    counted = np.ones(len(truth)) if weight is None else weight
    order = np.argsort(-score, kind="stable")
    right, raised = np.cumsum((counted * truth)[order]), np.cumsum(counted[order])
    if not len(right) or right[-1] <= 0:
        return None
    last = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))
    precision = right[last] / np.maximum(raised[last], 1e-9)
    gained = np.diff(np.concatenate([[0.0], right[last]]))
    return float((precision * gained).sum() / right[-1])


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


def calibration_error(truth: Bools, chance: Floats, weight: Floats | None = None) -> float:
    """Mean distance between what was said and what came, over equal bins of what was said."""
    counted = np.ones(len(truth)) if weight is None else weight
    at = np.minimum((chance * BINS).astype(np.int64), BINS - 1)
    said = np.bincount(at, counted * chance, BINS)
    came = np.bincount(at, counted * truth, BINS)
    return float(np.abs(said - came).sum() / counted.sum())


def reliability(truth: Bools, chance: Floats) -> list[tuple[float, float, int]]:
    """For each bin of what was said: its mean, how often it came, and how many there were."""
    at = np.minimum((chance * BINS).astype(np.int64), BINS - 1)
    count = np.bincount(at, minlength=BINS)
    said, came = np.bincount(at, chance, BINS), np.bincount(at, truth, BINS)
    return [(float(said[k] / count[k]), float(came[k] / count[k]), int(count[k])) for k in np.flatnonzero(count)]


def interval(
    measure: Callable[[Bools, Floats, Floats], float | None], truth: Bools, score: Floats, step_s: float
) -> tuple[float, float] | None:
    """5 to 95 % by block bootstrap: neighbouring steps are nearly the same sample, so whole blocks are drawn. How often
    one was drawn is the weight of its steps; they are sorted once, since sorting is what takes time."""
    block = round(BLOCK_S / step_s)
    blocks = len(truth) // block
    if blocks < 4:
        return None
    random = np.random.default_rng(0)
    order = np.argsort(-score[: blocks * block], kind="stable")
    truths, scores, belongs = truth[order], score[order], order // block
    found = []
    for _ in range(REPLICATES):
        drawn = np.bincount(random.integers(0, blocks, blocks), minlength=blocks).astype(np.float64)
        found.append(measure(truths, scores, drawn[belongs]))
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
    """Of those that were right, raised at `steps`."""
    steps: tuple[int, ...]
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


def chances(hazard: Table, window: tuple[int, int]) -> tuple[Floats, Floats, Floats]:
    """Of the first onset, from the chances of each second given none before it: in the window, in its first second,
    and after it."""
    first, beyond = window
    quiet = np.ones((3, *hazard.shape[:-1]))
    for second in range(hazard.shape[-1]):
        for row, until in enumerate((first, first + 1, beyond)):
            if second < until:
                quiet[row] *= 1.0 - hazard[..., second]
    return quiet[0] - quiet[2], quiet[0] - quiet[1], quiet[2]


def due(hazard: Table, window: tuple[int, int], threshold: float) -> Bools:
    """Where an alarm is worth raising: a burst in the window is likely enough, and waiting gains nothing any more.

    Within the next second no more than what lies after the window can come into it, and what lies in its first second
    leaves it. Whoever does not wait raises every alarm where its chance has just reached the threshold, so that as many
    of them are wrong as the threshold allows, even with a perfect forecast.
    """
    inside, leaves, may_come = chances(hazard, window)
    found: Bools = (inside >= threshold) & (leaves >= may_come)
    return found


def likeliest_s(hazard: Table) -> Floats:
    """The middle of the second in which an onset is likeliest, from now."""
    quiet = np.cumprod(1.0 - hazard, axis=-1, dtype=np.float64)
    before = np.concatenate([np.ones((*hazard.shape[:-1], 1)), quiet[..., :-1]], axis=-1)
    found: Floats = (before * hazard).argmax(axis=-1) + 0.5
    return found


def alarms(due: Bools, onsets_s: Floats, window: tuple[int, int], step_s: float) -> Alarms:
    """An alarm at a step is right when a burst begins in the window after it; while it stands none is raised anew."""
    raised, until = [], -1.0
    for step in np.flatnonzero(due):
        now_s = (step + 1) * step_s
        if now_s >= until:
            raised.append(now_s)
            until = now_s + STANDS_S
    at = np.array(raised)
    first = np.searchsorted(onsets_s, at + window[0] - 1e-9)
    lead = np.append(onsets_s, np.inf)[first] - at
    right = lead < window[1] + 1e-9
    foretold = np.unique(first[right])
    hours = len(due) * step_s / 3600.0
    leads, steps = tuple(lead[right].tolist()), tuple(np.round(at[right] / step_s).astype(int) - 1)
    return Alarms(len(at), int(right.sum()), len(onsets_s), len(foretold), leads, steps, hours)
