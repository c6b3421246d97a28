"""The simple rules that a forecast must beat: a score a step, from the past only, higher where a burst is likelier."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sentinel_core.events import labels

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

TRAILING: Final = 60
DAY: Final = 86_400
HOLT_LEVEL, HOLT_TREND, HOLT_SEASON = 0.1, 0.01, 0.2
SEASON: Final = 60
RATIO_WINDOWS: Final = (1, 2, 5, 10, 30, 300)
AGES: Final = 5
FOLDS: Final = (30, 60, 300, 1800, 3600)
ROUNDS: Final = 150
TREES: Final = {
    "objective": "binary", "learning_rate": 0.05, "num_leaves": 15, "min_data_in_leaf": 30, "num_threads": 1,
    "verbose": -1, "seed": 0, "deterministic": True,
}  # fmt: skip


def scores(counts: Floats, began: Bools, window: tuple[int, int]) -> Mapping[str, Floats]:
    """Steps of one second."""
    mean = _trailing(counts, TRAILING)
    simple: Mapping[str, Callable[[], Floats]] = {
        "persistence": lambda: -_age(began, 1),
        "seasonal_naive": lambda: _a_season_ago(began, window),
        "ewma_threshold": lambda: _ewma(counts, 5.0) / (mean + 1.0),
        "holt_winters": lambda: _holt_winters(counts, window) / (mean + 1.0),
        "cusum": lambda: _cusum(counts, mean),
    }
    return {name: score() for name, score in simple.items()}


def lightgbm_score(counts: Floats, began: Bools, window: tuple[int, int], warm_up: int) -> Floats | None:
    """Boosted trees over ratios, ages and phases, trained on the warm-up alone; None where it is not installed or
    the warm-up holds nothing to learn."""
    if importlib.util.find_spec("lightgbm") is None:
        return None
    import lightgbm  # noqa: PLC0415 - optional

    table = _features(counts, began)
    truth = labels(began, 1.0, window)
    lesson = slice(TRAILING, warm_up - window[1])
    if not truth[lesson].any():
        return None
    lessons = lightgbm.Dataset(table[lesson], truth[lesson].astype(np.float64))
    model: Any = lightgbm.train(TREES, lessons, ROUNDS)
    found: Floats = np.asarray(model.predict(table, num_threads=1))
    return found


def _features(counts: Floats, began: Bools) -> Floats:
    mean = _trailing(counts, TRAILING)
    columns = [mean, *(_trailing(counts, width, lag=0) / (mean + 0.1) for width in RATIO_WINDOWS)]
    columns += [_age(began, back) for back in range(1, AGES + 1)]
    columns += [(np.arange(len(counts)) % period).astype(np.float64) for period in FOLDS]
    return np.column_stack(columns)


def _trailing(counts: Floats, width: int, lag: int = 1) -> Floats:
    """Mean of the steps before each, or up to and with it."""
    summed = np.concatenate([[0.0], np.cumsum(counts)])
    end = np.arange(len(counts)) + 1 - lag
    start = np.maximum(end - width, 0)
    found: Floats = (summed[end] - summed[start]) / np.maximum(end - start, 1)
    return found


def _age(began: Bools, back: int) -> Floats:
    """Seconds since the last onset but so many."""
    at = np.flatnonzero(began)
    which = np.cumsum(began) - back
    steps = np.arange(len(began))
    known = which >= 0
    if not len(at):
        return np.full(len(began), float(DAY))
    return np.where(known, steps - at[np.maximum(which, 0)], DAY).astype(np.float64)


def _a_season_ago(began: Bools, window: tuple[int, int]) -> Floats:
    """Onsets in the same window a day ago where there are days, else a minute ago."""
    season = DAY if len(began) > 2 * DAY else SEASON
    truth = labels(began, 1.0, window).astype(np.float64)
    return np.concatenate([np.zeros(season), truth])[: len(began)]


def _ewma(counts: Floats, seconds: float) -> Floats:
    share, level, found = 1.0 / seconds, 0.0, np.empty(len(counts))
    for step, count in enumerate(counts.tolist()):
        level += share * (count - level)
        found[step] = level
    return found


def _holt_winters(counts: Floats, window: tuple[int, int]) -> Floats:
    """Additive, with a season of a minute: the most that it expects within the window."""
    season = [0.0] * SEASON
    level, trend, found = float(counts[0]), 0.0, np.empty(len(counts))
    leads = range(window[0] + 1, window[1] + 1)
    for step, count in enumerate(counts.tolist()):
        phase = step % SEASON
        before, level = level, HOLT_LEVEL * (count - season[phase]) + (1.0 - HOLT_LEVEL) * (level + trend)
        trend += HOLT_TREND * (level - before - trend)
        season[phase] += HOLT_SEASON * (count - level - season[phase])
        found[step] = max(level + lead * trend + season[(step + lead) % SEASON] for lead in leads)
    return found


def _cusum(counts: Floats, mean: Floats) -> Floats:
    """Page's sum of what exceeds half a standard deviation over the trailing mean."""
    total, found = 0.0, np.empty(len(counts))
    for step, (count, expected) in enumerate(zip(counts.tolist(), mean.tolist(), strict=True)):
        deviation = max(expected, 1.0) ** 0.5
        total = max(0.0, total + (count - expected) / deviation - 0.5)
        found[step] = total
    return found
