"""What is left to be wrong about: how whoever knows a made pattern's law, but not its dice, does by the same rules.

Period, phase and jitter are known exactly; which time each onset then drew is not. No forecaster can do better but by
luck, so beside a figure of ours this one says how much of what is missing was there to be had.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from sentinel_core.signature import HAZARD_BINS
from sentinel_training import synthetic

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

WIDEST: Final = 8.0
"""Standard deviations: beyond them nothing of a normal distribution is left."""
DEVIATIONS: Final = np.linspace(-WIDEST, WIDEST, 3_201)
BELOW: Final = np.array([0.5 * math.erfc(-each / math.sqrt(2.0)) for each in DEVIATIONS])
LEAST_JITTER_S: Final = 1e-3
SMALLEST: Final = 1e-12


def periodic_all(runs: Sequence[synthetic.Made], seconds: float, seeds: Iterable[int]) -> Floats:
    """[steps, runs, 10] of runs that were made with those seeds."""
    return np.stack([periodic(run, seconds, seed) for run, seed in zip(runs, seeds, strict=True)], axis=1)


def periodic(run: synthetic.Made, seconds: float, seed: int) -> Floats:
    """[steps, 10]: per coming second the chance of an onset, given none before it, after each step of the run."""
    table = synthetic.timetable(seconds, np.random.default_rng(seed))
    jitter_s = max(table.jitter_s, LEAST_JITTER_S)
    ends = (np.arange(len(run.counts)) + 1) * synthetic.STEP_S
    quiet = np.ones((len(ends), HAZARD_BINS + 1))
    drawn = np.append(run.onsets_s, np.full(len(table.due_s) - len(run.onsets_s), np.inf))
    for due_s, onset_s in zip(table.due_s, drawn, strict=True):
        first = max(0, int((due_s - HAZARD_BINS - WIDEST * jitter_s) / synthetic.STEP_S) - 1)
        still = slice(first, int(np.searchsorted(ends, onset_s)))
        later = ends[still, None] + np.arange(HAZARD_BINS + 1)
        left = 1.0 - np.interp((later - due_s) / jitter_s, DEVIATIONS, BELOW)
        quiet[still] *= left / np.maximum(left[:, :1], SMALLEST)
    found: Floats = 1.0 - quiet[:, 1:] / np.maximum(quiet[:, :-1], SMALLEST)
    return np.minimum(np.maximum(found, 0.0), 1.0)
