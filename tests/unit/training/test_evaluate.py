"""The protocol end to end: schedules are found, chance is not, and no rule sees the future."""

import numpy as np
import pytest

from sentinel_agent.predict.onnx import file_of
from sentinel_api.v1alpha1.prediction import Prediction
from sentinel_core.events import TRACE, Onsets
from sentinel_training import baselines, evaluate, measures, oracle, synthetic
from sentinel_training.session import Session
from sentinel_training.traces import Trace

pytestmark = pytest.mark.timeout(300)  # thousands of steps: seconds of work, and far more where cores are shared


def trace(counts, name="made"):
    return Trace(name, 1.0, counts, np.ones(len(counts), bool), len(counts) // 2)


def judged(one, *, session=None, rivals=False):
    return evaluate.of_trace(one, evaluate.walked([one], session, lambda _: None), 0, rivals=rivals)


@pytest.fixture(params=["learners", "shipped"])
def session(request):
    """Who forecasts: the learners alone, or the model that every agent runs beside them."""
    return Session(file_of(Prediction().ref)) if request.param == "shipped" else None


def bursts(onsets, seconds, random):
    counts = random.poisson(20.0, seconds).astype(float)
    for at in onsets:
        counts[int(at) : int(at) + 2] += 200.0
    return counts


def test_memoryless_bursts_show_no_skill_over_their_base_rate(session):
    """The negative control: beyond the refractory time, which everybody may know, nothing can be foreseen."""
    random = np.random.default_rng(11)
    onsets = 70 + np.cumsum(12 + random.exponential(40, 45))
    metrics, _ = judged(trace(bursts(onsets[onsets < 1900], 2000, random)), session=session)
    assert metrics["made.ap_5_10"] < metrics["made.base_5_10"] * 1.6
    assert metrics["made.recall_at_p90_5_10"] < 0.05
    assert metrics["made.false_alarms_per_hour"] <= 3
    assert metrics["made.ece"] < 0.1


def test_a_schedule_is_foreseen_far_better_than_by_simple_rules(session):
    random = np.random.default_rng(12)
    metrics, rows = judged(trace(bursts(np.arange(75, 1390, 37), 1400, random)), session=session, rivals=True)
    assert metrics["made.ap_5_10"] > 0.8
    rivals = {row["rule"]: row["ap"] for row in rows if row.get("window") == "5_10" and row["rule"] != "lightgbm"}
    best = max(ap for rule, ap in rivals.items() if rule != "forecast")
    assert rivals["forecast"] > best + 0.2
    assert len(rivals) == 6


def test_every_rule_knows_the_past_only():
    random = np.random.default_rng(13)
    counts = bursts(np.arange(75, 600, 37), 600, random)
    other = counts.copy()
    other[400:] += 500

    def told(series):
        detector = Onsets(1, 1.0, TRACE)
        began = np.array([detector.step(np.array([c]), np.ones(1, bool))[0] for c in series])
        return baselines.scores(series, began, (5, 10))

    for name, score in told(counts).items():
        if name == "seasonal_naive":  # speaks of a minute ago, whose window must have ended by now
            assert baselines.SEASON >= 10
        assert score[:400] == pytest.approx(told(other)[name][:400]), name


def test_made_bursts_are_the_same_for_the_same_seed_and_found_where_they_were_made():
    one, two = (synthetic.made("periodic", 900.0, 3) for _ in range(2))
    assert np.array_equal(one.counts, two.counts)
    first = one.onsets_s[0]
    at = int(first / synthetic.STEP_S)
    assert one.counts[at + 1 : at + 4].mean() > 4 * one.counts[at - 50 : at - 2].mean()


def test_shuffled_bursts_show_no_skill(session):
    """The other negative control: the same bursts at shuffled times."""
    random = np.random.default_rng(14)
    counts = bursts(np.arange(75, 1990, 37), 2000, random)
    blocks = counts.reshape(-1, 10)[random.permutation(200)].ravel()
    metrics, _ = judged(trace(blocks), session=session)
    assert metrics["made.ap_5_10"] < metrics["made.base_5_10"] * 1.6
    assert metrics["made.recall_at_p90_5_10"] < 0.05
    assert metrics["made.false_alarms_per_hour"] <= 3


def test_traces_side_by_side_are_judged_as_each_alone():
    random = np.random.default_rng(15)
    long, short = (bursts(np.arange(75, 640, step), seconds, random) for step, seconds in ((37, 800), (41, 650)))
    pair = [trace(long, "long"), trace(short, "short")]
    together = evaluate.walked(pair, None, lambda _: None)
    for at, one in enumerate(pair):
        assert evaluate.of_trace(one, together, at, rivals=False)[0] == pytest.approx(judged(one)[0], abs=1e-6)


def test_every_pattern_gives_all_its_figures():
    patterns = sorted(synthetic.PATTERNS)
    metrics, rows = evaluate.of_patterns(patterns, 100.0, range(1), None)
    assert {f"synthetic_{pattern}.false_alarms_per_hour_5_10" for pattern in patterns} <= metrics.keys()
    assert len(rows) == 2 * len(patterns)
    assert all(np.isfinite(value) for value in metrics.values())


def test_demand_is_compared_with_each_rival():
    random = np.random.default_rng(16)
    metrics, rows = judged(trace(bursts([], 1500, random)))
    assert {row["horizon_s"] for row in rows if row.get("what") == "demand"} == {30, 60, 120, 300}
    assert metrics["made.demand_skill_60"] > 0.1  # persistence repeats the noise of one slot


def test_who_knows_the_law_but_not_the_dice_is_hardly_ever_wrong_and_only_by_them():
    seconds, seeds, window = 1200.0, range(5), (5, 10)
    runs = [synthetic.made("periodic", seconds, seed) for seed in seeds]
    hazard = oracle.periodic_all(runs, seconds, seeds)[:11_900]
    onsets, raised, right = 0, 0, 0
    for at, run in enumerate(runs):
        told = measures.alarms(measures.due(hazard[:, at], window, evaluate.ALARM_AT), run.onsets_s, window, 0.1)
        onsets, raised, right = onsets + told.onsets, raised + told.raised, right + told.right
    assert right / raised > 0.97
    assert right / onsets > 0.95
    ends = (np.arange(len(hazard)) + 1) * 0.1
    soon = np.stack([np.searchsorted(r.onsets_s, ends + 1.0) > np.searchsorted(r.onsets_s, ends) for r in runs], axis=1)
    sure = hazard[:, :, 0] > 0.95
    assert soon[sure].mean() > 0.9
    assert hazard[:, :, 0].mean() == pytest.approx(soon.mean(), rel=0.2)
