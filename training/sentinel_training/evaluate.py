"""The protocol: forecasters walk through traces and only ever know the past; what they said is judged afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sentinel_api.records import HORIZONS_S
from sentinel_core.demand import AHEAD, SLOT_S
from sentinel_core.events import LIVE, TRACE, WINDOWS, labels
from sentinel_core.signature import DEMAND_LEVELS, HAZARD_BINS, MAGNITUDE_LEVELS
from sentinel_training import baselines, measures, oracle, synthetic
from sentinel_training.judge import pinball
from sentinel_training.walks import RIVALS, Path, Walk, walk

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from sentinel_training.session import Session
    from sentinel_training.traces import Trace

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]
    Table = NDArray[np.float32]
    Found = tuple[dict[str, float], list[dict[str, Any]]]

ALARM_AT: Final = 0.75
"""The chance from which an alarm may be raised here; chosen on synthetic seeds that no result uses."""

JUDGED_SHARE: Final = 0.5
"""Of a synthetic run; what comes before is for learning."""
PRECISION: Final = 0.9
NAME: Final = "forecast"
"""Of what is judged, among the rules it is compared with."""
PACKETS_A_FLOW: Final = 20.0


def walked(traces: Sequence[Trace], session: Session | None, told: Callable[[str], None]) -> Walk:
    """All of one resolution at once, the shorter ones unknown after their end: each learns by itself all the same."""
    longest = max(len(trace.counts) for trace in traces)
    packets, known = np.zeros((longest, len(traces))), np.zeros((longest, len(traces)), np.bool_)
    for at, trace in enumerate(traces):
        packets[: len(trace.counts), at], known[: len(trace.known), at] = trace.counts, trace.known
    return walk(Path(packets, known, traces[0].step_s, TRACE), session, told)


def of_trace(trace: Trace, seen: Walk, at: int, *, rivals: bool = True) -> Found:
    """Metrics by their stable names, and a row for each window and rule; the trace is series `at` of the walk."""
    steps = len(trace.counts)
    began, hazard = seen.began[:steps, at], seen.hazard[:steps, at]
    judged = np.zeros(steps, np.bool_)
    judged[trace.warm_up : steps - round(HAZARD_BINS / trace.step_s)] = True
    judged &= trace.known
    metrics: dict[str, float] = {}
    rows: list[dict[str, Any]] = []
    for name, window in WINDOWS.items():
        said = measures.chances(hazard, window)[0][judged]
        truth = labels(began, trace.step_s, window)[judged]
        rows.append(_row(trace, name, NAME, truth, said) | _at_threshold(trace, hazard, began, window))
        for rule, score in (_rivals(trace, began, window) if rivals else {}).items():
            rows.append(_row(trace, name, rule, truth, score[judged]))
        metrics |= _ranked(trace.name, name, truth, said)
    metrics |= _alarms(trace, hazard, began, judged, rows)
    metrics |= _sizes(trace, seen, at, rows)
    return metrics | _demand(trace, seen, at, rows), rows


def _ranked(trace: str, window: str, truth: Bools, said: Floats) -> dict[str, float]:
    found = {f"{trace}.base_{window}": float(truth.mean())}
    precision, recall = measures.average_precision(truth, said), measures.recall_at(PRECISION, truth, said)
    if precision is not None and recall is not None:
        found |= {f"{trace}.ap_{window}": precision, f"{trace}.recall_at_p90_{window}": recall}
    return found


def _raised(trace: Trace, hazard: Table, began: Bools, window: tuple[int, int]) -> measures.Alarms:
    onsets_s = np.flatnonzero(began[trace.warm_up :]).astype(np.float64) * trace.step_s
    due = measures.due(hazard[trace.warm_up :], window, ALARM_AT)
    return measures.alarms(due, onsets_s, window, trace.step_s)


def _at_threshold(trace: Trace, hazard: Table, began: Bools, window: tuple[int, int]) -> dict[str, Any]:
    told = _raised(trace, hazard, began, window)
    return {"alarms": told.raised, "precision": told.precision, "recall": told.recall, "onsets": told.onsets}


def _alarms(trace: Trace, hazard: Table, began: Bools, judged: Bools, rows: list[dict[str, Any]]) -> dict[str, float]:
    near = WINDOWS["1_10"]
    truth, said = labels(began, trace.step_s, near)[judged], measures.chances(hazard, near)[0][judged]
    told = _raised(trace, hazard, began, near)
    rows.append(
        {
            "trace": trace.name,
            "what": "alarms",
            "leads_s": [round(lead, 1) for lead in told.leads_s],
            "lead_s_p10_p50_p90": np.quantile(told.leads_s, (0.1, 0.5, 0.9)).tolist() if told.leads_s else None,
            "ece_5_95": measures.interval(measures.calibration_error, truth, said, trace.step_s),
            "reliability": measures.reliability(truth, said),
        }
    )
    return {
        f"{trace.name}.ece": measures.calibration_error(truth, said),
        f"{trace.name}.false_alarms_per_hour": told.false_per_hour,
    }


def _sizes(trace: Trace, seen: Walk, at: int, rows: list[dict[str, Any]]) -> dict[str, float]:
    """Pinball loss as a share of the mean size, and how often a burst was below each quantile."""
    judged = [each for each in seen.sizes if each.series == at and each.step >= trace.warm_up and each.said[-1] > 0]
    if len(judged) < 2:
        return {}
    came, said = np.array([each.came for each in judged]), np.array([each.said for each in judged])
    below = {f"p{level * 100:.0f}": float((came <= said[:, k]).mean()) for k, level in enumerate(MAGNITUDE_LEVELS)}
    rows.append({"trace": trace.name, "what": "sizes", "bursts": len(judged), "below": below})
    return {f"{trace.name}.magnitude_loss": pinball(came[:, None] - said, MAGNITUDE_LEVELS) / max(came.mean(), 1.0)}


def _demand(trace: Trace, seen: Walk, at: int, rows: list[dict[str, Any]]) -> dict[str, float]:
    """Skill over each rival: by how much of its pinball loss ours is smaller."""
    per_slot = round(SLOT_S / trace.step_s)
    first, last = trace.warm_up // per_slot, len(trace.counts) // per_slot
    found: dict[str, float] = {}
    for k, (horizon, ahead) in enumerate(zip(HORIZONS_S, AHEAD.tolist(), strict=True)):
        slots = np.arange(max(first, ahead), last)
        slots = slots[seen.rate_known[slots, at]]
        if len(slots) < 10:
            continue
        came = seen.rate[slots, at][:, None]
        own = pinball(came - seen.demand[slots - ahead, at, k], DEMAND_LEVELS)
        losses = {
            rival: pinball(came - seen.rivals[slots - ahead, at, r, k], DEMAND_LEVELS) for r, rival in enumerate(RIVALS)
        }
        skill = {rival: 1.0 - own / loss if loss > 0 else 0.0 for rival, loss in losses.items()}
        below = float((came[:, 0] <= seen.demand[slots - ahead, at, k, -1]).mean())
        rows.append({"trace": trace.name, "what": "demand", "horizon_s": horizon, "skill": skill, "below_p95": below})
        found[f"{trace.name}.demand_skill_{horizon}"] = skill["last"]
        found[f"{trace.name}.demand_skill_vs_best_{horizon}"] = min(skill.values())
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


def of_patterns(patterns: Sequence[str], seconds: float, seeds: range, session: Session | None) -> Found:
    """All patterns and seeds side by side, each series by itself; truth is the generator's. Alarms of a pattern's seeds
    are pooled."""
    runs = [synthetic.made(pattern, seconds, seed) for pattern in patterns for seed in seeds]
    packets = np.stack([run.counts for run in runs], axis=1)
    flows = np.random.default_rng(0).poisson(packets / PACKETS_A_FLOW).astype(np.float64)
    seen = walk(Path(packets, np.ones(packets.shape, np.bool_), synthetic.STEP_S, LIVE, flows), session)
    metrics: dict[str, float] = {}
    rows: list[dict[str, Any]] = []
    for pattern in patterns:
        own = [at for at, run in enumerate(runs) if run.name == pattern]
        known = oracle.periodic_all([runs[at] for at in own], seconds, seeds) if pattern == "periodic" else None
        found = _of_pattern([runs[at] for at in own], seen.hazard[:, own], known, seconds)
        covered = _sizes_of(pattern, seen, own, round(seconds * JUDGED_SHARE / synthetic.STEP_S))
        metrics |= found[0] | covered
        rows += found[1]
    return metrics, rows


def _sizes_of(pattern: str, seen: Walk, own: list[int], start: int) -> dict[str, float]:
    """How many of the judged bursts were below each quantile of their size."""
    judged = [each for each in seen.sizes if each.series in own and each.step >= start and each.said[-1] > 0]
    if not judged:
        return {}
    below = np.mean([each.came <= each.said for each in judged], axis=0)
    return {
        f"synthetic_{pattern}.sizes_below_p{level * 100:.0f}": float(share)
        for level, share in zip(MAGNITUDE_LEVELS, below, strict=True)
    }


def _of_pattern(runs: list[synthetic.Made], hazard: Table, known: Floats | None, seconds: float) -> Found:
    """`known`: what whoever knows the law says, where that is known."""
    pattern, start = runs[0].name, round(seconds * JUDGED_SHARE / synthetic.STEP_S)
    metrics: dict[str, float] = {}
    rows: list[dict[str, Any]] = []
    for name, window in WINDOWS.items():
        told = _alarms_of(runs, hazard, start, window)
        counts = {"alarms": sum(each.raised for each in told), "right": sum(each.right for each in told)}
        counts |= {"onsets": sum(each.onsets for each in told), "foretold": sum(each.foretold for each in told)}
        found = {f"{what}_{name}": value for what, value in _rates_of(told).items()}
        truth = np.stack([_came(run, start, window) for run in runs], axis=1)
        chance = measures.chances(hazard[start:], window)[0]
        found[f"ece_{name}"] = measures.calibration_error(truth.ravel(), chance.ravel())
        if counts["right"]:
            found[f"onset_error_s_{name}"] = _onset_error_s(told, hazard[start:])
        if known is not None:
            best = _rates_of(_alarms_of(runs, known, start, window))
            found |= {f"oracle_{what}_{name}": value for what, value in best.items()}
        rows.append({"pattern": pattern, "window": name} | counts)
        metrics |= {f"synthetic_{pattern}.{what}": value for what, value in found.items()}
    return metrics, rows


def _alarms_of(
    runs: list[synthetic.Made], hazard: Table | Floats, start: int, window: tuple[int, int]
) -> list[measures.Alarms]:
    """Of each run from `start` on."""
    due, start_s = measures.due(hazard[start:], window, ALARM_AT), start * synthetic.STEP_S
    return [
        measures.alarms(due[:, at], run.onsets_s[run.onsets_s >= start_s] - start_s, window, synthetic.STEP_S)
        for at, run in enumerate(runs)
    ]


def _rates_of(told: list[measures.Alarms]) -> dict[str, float]:
    """All runs as one; no precision without an alarm, no recall without an onset."""
    raised, right = sum(each.raised for each in told), sum(each.right for each in told)
    onsets, foretold = sum(each.onsets for each in told), sum(each.foretold for each in told)
    found = {"false_alarms_per_hour": (raised - right) / sum(each.hours for each in told)}
    found |= {"precision": right / raised} if raised else {}
    return found | ({"recall": foretold / onsets} if onsets else {})


def _onset_error_s(told: list[measures.Alarms], hazard: Table) -> float:
    """Median over the alarms that were right, from the second that was likeliest when they were raised."""
    errors = [
        np.abs(measures.likeliest_s(hazard[list(each.steps), at]) - np.array(each.leads_s))
        for at, each in enumerate(told)
        if each.right
    ]
    return float(np.median(np.concatenate(errors)))


def _came(run: synthetic.Made, start: int, window: tuple[int, int]) -> Bools:
    """Per judged step: whether the generator began a burst in the window after it."""
    ends = (np.arange(start, len(run.counts)) + 1) * synthetic.STEP_S
    first, beyond = (np.searchsorted(run.onsets_s, ends + lead) for lead in window)
    found: Bools = beyond > first
    return found
