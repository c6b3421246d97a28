"""Demand to come: as good as the best simple rule for the class, with quantiles that hold what they promise."""

import numpy as np
import pytest

from sentinel_core.demand import AHEAD, FORECASTERS, LEVELS, DemandLearner

pytestmark = pytest.mark.timeout(300)  # thousands of steps: seconds of work, and far more where cores are shared


def run(rates, known=None, learner=None):
    """Steps of a slot each; what was said after each slot of every horizon, and by each forecaster."""
    learner = learner or DemandLearner(1, 10.0)
    known = np.ones(len(rates), bool) if known is None else known
    said, each = [], []
    for rate, is_known in zip(rates, known, strict=True):
        learner.step(np.array([rate]), np.array([is_known]))
        said.append(learner.quantiles[0].copy())
        each.append(learner.forecasters[0].copy())
    return np.array(said), np.array(each)


def lost(said, rates, horizon, first):
    over = rates[first:, None] - said[first - AHEAD[horizon] : len(rates) - AHEAD[horizon]]
    return np.maximum(LEVELS * over, (LEVELS - 1) * over).sum(axis=1).mean()


def by_the_minute(slots, random):
    return 1_000.0 + 600.0 * (np.arange(slots) % 6 < 2) + random.normal(0, 40, slots)


def test_it_is_never_much_worse_than_the_best_of_them_and_better_than_persistence_where_there_is_noise():
    random = np.random.default_rng(1)
    rates = 500.0 + random.normal(0, 100, 1_500)
    said, each = run(rates)
    for horizon in range(len(AHEAD)):
        mine = lost(said[:, horizon], rates, horizon, 700)
        others = [lost(each[:, at, horizon], rates, horizon, 700) for at in range(len(FORECASTERS))]
        assert mine < 1.03 * min(others)
        assert mine < 0.85 * others[FORECASTERS.index("last")]


def test_a_season_is_used():
    rates = by_the_minute(1_200, np.random.default_rng(2))
    said, each = run(rates)
    mine = lost(said[:, 1], rates, 1, 700)
    assert mine < 0.7 * lost(each[:, FORECASTERS.index("mean_30"), 1], rates, 1, 700)


def test_quantiles_hold_what_they_promise():
    random = np.random.default_rng(3)
    rates = 1_000.0 * random.lognormal(0, 0.3, 2_500)
    said, _ = run(rates)
    for horizon in range(len(AHEAD)):
        made = said[1_000 - AHEAD[horizon] : 2_500 - AHEAD[horizon], horizon]
        assert (rates[1_000:, None] <= made).mean(axis=0) == pytest.approx(LEVELS, abs=0.05)


def test_unknown_time_changes_nothing_but_the_phase():
    rates = by_the_minute(1_200, np.random.default_rng(4))
    known = np.ones(len(rates), bool)
    known[700:803] = False
    said, _ = run(np.where(known, rates, 0.0), known)
    assert lost(said[:, 1], rates, 1, 850) < 1.5 * lost(said[:700, 1], rates[:700], 1, 500)


def test_a_gap_at_once_ends_in_the_same_slot_and_phase_as_step_by_step():
    one, two = DemandLearner(1, 0.1), DemandLearner(1, 0.1)
    for learner in (one, two):
        for step in range(437):
            learner.step(np.array([100.0 + step % 100]), np.ones(1, bool))
    for gap in (7, 400, 3_333):
        one.skip(gap)
        for _ in range(gap):
            two.step(np.zeros(1), np.zeros(1, bool))
        two.ponder()
        assert (one._slot, round(one._left_s, 3)) == (two._slot, round(two._left_s, 3))
    assert one.quantiles == pytest.approx(two.quantiles, rel=0.01)


def test_numbers_stay_finite_whatever_comes():
    random = np.random.default_rng(5)
    learner = DemandLearner(3, 10.0)
    for _ in range(400):
        learner.step(np.exp(random.uniform(0, 25, 3)) * random.integers(0, 2, 3), random.random(3) < 0.8)
    assert np.isfinite(learner.quantiles).all()
    assert (np.diff(learner.quantiles, axis=-1) >= 0).all()
