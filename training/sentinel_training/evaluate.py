"""The protocol: the learner walks through a trace and only ever knows the past; what it said is judged afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sentinel_core.events import LIVE, TRACE, WINDOWS, Rule, labels
from sentinel_core.schedule import ScheduleLearner
from sentinel_core.signature import HAZARD_BINS
from sentinel_training import baselines, measures, synthetic

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from sentinel_training.traces import Trace

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

ALARM_AT: Final = 0.87
"""The chance from which an alarm is raised in this benchmark; chosen on synthetic seeds that no result here uses."""

JUDGED_SHARE: Final = 0.5
"""Of a synthetic run; what comes before is for learning."""
PRECISION: Final = 0.9


@dataclass(frozen=True, slots=True, eq=False)
class Walk:
    """What was said after each step, and what began in it: [steps, series, 10] and [steps, series]."""

    hazard: NDArray[np.float32]
    began: Bools

    def chance(self, window: tuple[int, int]) -> Floats:
        """Of a first onset so many whole seconds ahead."""
        first, beyond = window
        quiet = np.prod(1.0 - self.hazard[..., :first], axis=-1, dtype=np.float64)
        found: Floats = quiet * (1.0 - np.prod(1.0 - self.hazard[..., first:beyond], axis=-1, dtype=np.float64))
        return found


def walk(counts: Floats, known: Bools, step_s: float, rule: Rule) -> Walk:
    """Series side by side: [steps, series]."""
    learner = ScheduleLearner(counts.shape[1], step_s, rule)
    hazard = np.zeros((*counts.shape, HAZARD_BINS), np.float32)
    began = np.zeros(counts.shape, np.bool_)
    nothing = np.zeros(counts.shape[1])
    for step in range(len(counts)):
        began[step] = learner.step(counts[step], known[step], nothing)
        hazard[step] = learner.hazard()
    return Walk(hazard, began)


def of_trace(trace: Trace) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """Metrics by their stable names, and a row for each window and rule."""
    seen = walk(trace.counts[:, None], trace.known[:, None], trace.step_s, TRACE)
    began = seen.began[:, 0]
    judged = np.zeros(len(began), np.bool_)
    judged[trace.warm_up : len(began) - round(HAZARD_BINS / trace.step_s)] = True
    judged &= trace.known
    metrics: dict[str, float] = {}
    rows: list[dict[str, Any]] = []
    for name, window in WINDOWS.items():
        truth, said = labels(began, trace.step_s, window)[judged], seen.chance(window)[judged, 0]
        rows.append(_row(trace, name, "schedule", truth, said))
        for rule, score in _rivals(trace, began, window).items():
            rows.append(_row(trace, name, rule, truth, score[judged]))
        metrics[f"{trace.name}.base_{name}"] = float(truth.mean())
        found = measures.average_precision(truth, said)
        if found is not None:
            metrics[f"{trace.name}.ap_{name}"] = found
    metrics |= _calibration(trace, seen, began, judged, rows)
    return metrics, rows


def _calibration(trace: Trace, seen: Walk, began: Bools, judged: Bools, rows: list[dict[str, Any]]) -> dict[str, float]:
    near, far = WINDOWS["1_10"], WINDOWS["5_10"]
    truth, said = labels(began, trace.step_s, near)[judged], seen.chance(near)[judged, 0]
    onsets_s = np.flatnonzero(began[trace.warm_up :]).astype(np.float64) * trace.step_s
    told = measures.alarms(seen.chance(near)[trace.warm_up :, 0], onsets_s, ALARM_AT, near, trace.step_s)
    found = {
        f"{trace.name}.ece": measures.calibration_error(truth, said),
        f"{trace.name}.false_alarms_per_hour": told.false_per_hour,
    }
    recall = measures.recall_at(PRECISION, labels(began, trace.step_s, far)[judged], seen.chance(far)[judged, 0])
    if recall is not None:
        found[f"{trace.name}.recall_at_p90_5_10"] = recall
    ece = measures.interval(measures.calibration_error, truth, said, trace.step_s)
    leads = np.quantile(told.leads_s, (0.1, 0.5, 0.9)).tolist() if told.leads_s else None
    rows.append(
        {
            "trace": trace.name,
            "rule": "schedule",
            "alarms": told.raised,
            "alarms_right": told.right,
            "onsets": told.onsets,
            "onsets_foretold": told.foretold,
            "lead_s_p10_p50_p90": leads,
            "ece_5_95": ece,
        }
    )
    return found


def _rivals(trace: Trace, began: Bools, window: tuple[int, int]) -> Mapping[str, Floats]:
    rivals = dict(baselines.scores(trace.counts, began, window))
    boosted = baselines.lightgbm_score(trace.counts, began, window, trace.warm_up)
    return rivals if boosted is None else rivals | {"lightgbm": boosted}


def _row(trace: Trace, window: str, rule: str, truth: Bools, score: Floats) -> dict[str, Any]:
    return {
        "trace": trace.name,
        "window": window,
        "rule": rule,
        "steps": len(truth),
        "base": float(truth.mean()),
        "ap": measures.average_precision(truth, score),
        "ap_5_95": measures.interval(measures.average_precision, truth, score, trace.step_s),
    }


def of_pattern(pattern: str, seconds: float, seeds: range) -> tuple[dict[str, float], list[dict[str, Any]]]:
    """All seeds side by side, each series by itself; truth is the generator's. Alarms of all of them are pooled."""
    runs = [synthetic.made(pattern, seconds, seed) for seed in seeds]
    counts = np.stack([run.counts for run in runs], axis=1)
    seen = walk(counts, np.ones(counts.shape, np.bool_), synthetic.STEP_S, LIVE)
    start = round(seconds * JUDGED_SHARE / synthetic.STEP_S)
    start_s = start * synthetic.STEP_S
    metrics: dict[str, float] = {}
    rows: list[dict[str, Any]] = []
    for name, window in WINDOWS.items():
        chance = seen.chance(window)[start:]
        told = [
            measures.alarms(chance[:, each], run.onsets_s[run.onsets_s >= start_s] - start_s, ALARM_AT, window, 0.1)
            for each, run in enumerate(runs)
        ]
        raised, right = sum(each.raised for each in told), sum(each.right for each in told)
        onsets, foretold = sum(each.onsets for each in told), sum(each.foretold for each in told)
        false_per_hour = sum(each.raised - each.right for each in told) / sum(each.hours for each in told)
        row = {"pattern": pattern, "window": name, "alarms": raised, "right": right, "onsets": onsets}
        rows.append(row | {"foretold": foretold, "false_alarms_per_hour": false_per_hour})
        metrics[f"synthetic_{pattern}.false_alarms_per_hour_{name}"] = false_per_hour
        if raised:
            metrics[f"synthetic_{pattern}.precision_{name}"] = right / raised
        if onsets:
            metrics[f"synthetic_{pattern}.recall_{name}"] = foretold / onsets
    return metrics, rows
