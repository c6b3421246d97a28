"""The schedule learner: what it must learn, what it must not claim, and that it only knows the past."""

import numpy as np
import pytest

from sentinel_core.events import WINDOWS, Rule, labels
from sentinel_core.schedule import ScheduleLearner

pytestmark = pytest.mark.timeout(300)  # thousands of steps: seconds of work, and far more where cores are shared

RULE = Rule(refractory_s=2.0, rearms=True)


def traffic(onsets, seconds, random, series=1, calm=10.0, burst=190.0):
    """Poisson noise, and two seconds of burst from each onset."""
    counts = random.poisson(calm, (seconds, series)).astype(float)
    for at in onsets:
        counts[int(at) : int(at) + 2] += burst
    return counts


def run(counts, known=None, learner=None, surplus=0.0):
    series = counts.shape[1]
    learner = learner or ScheduleLearner(series, 1.0, RULE)
    known = np.ones(counts.shape, bool) if known is None else known
    began, hazard = np.zeros(counts.shape, bool), np.zeros((*counts.shape, 10))
    for at, row in enumerate(counts):
        began[at] = learner.step(row, known[at], np.full(series, surplus))
        hazard[at] = learner.hazard()
    return began, hazard, learner


def chance(hazard, window):
    first, beyond = WINDOWS[window]
    quiet = np.prod(1.0 - hazard[..., :first], axis=-1)
    return quiet * (1.0 - np.prod(1.0 - hazard[..., first:beyond], axis=-1))


@pytest.mark.parametrize("period", [7.0, 10.0, 23.7, 60.0])
def test_a_period_is_learned_after_a_few_cycles_whatever_its_length(period):
    random = np.random.default_rng(1)
    onsets = np.arange(65.0, 65.0 + 14 * period, period)
    began, hazard, _ = run(traffic(onsets, int(onsets[-1]), random))
    truth = labels(began[:, 0], 1.0, (0, 2))
    soon = 1.0 - np.prod(1.0 - hazard[:, 0, :2], axis=1)
    judged = slice(int(65 + 8 * period), int(65 + 13 * period) - 3)
    assert soon[judged][truth[judged]].mean() > 0.6
    assert soon[judged][~truth[judged]].mean() < 0.25


def test_a_learned_schedule_is_forgotten_when_it_stops():
    random = np.random.default_rng(2)
    counts = traffic(np.arange(65.0, 665.0, 20.0), 1300, random)
    _, hazard, _ = run(counts)
    ten = 1.0 - np.prod(1.0 - hazard[:, 0], axis=1)
    assert ten[500:660].max() > 0.8
    assert ten[1000:].max() < 0.3


def test_its_certainty_tells_a_schedule_from_chance():
    random = np.random.default_rng(3)
    seconds = 1400
    scheduled = traffic(np.arange(65.0, seconds, 20.0), seconds, random)
    memoryless = traffic(np.cumsum(random.exponential(20.0, 110)) + 65, seconds, random)
    _, _, learner = run(np.hstack([scheduled, memoryless[:seconds]]))
    assert learner.certainty[0] > 0.4
    assert learner.certainty[1] < 0.2


def test_bursts_at_memoryless_times_are_not_claimed_to_be_foreseen():
    random = np.random.default_rng(4)
    seconds = 2200
    began, hazard, _ = run(traffic(2 + np.cumsum(2 + random.exponential(38.0, 95)) + 65, seconds, random))
    told = chance(hazard[:, 0], "5_10")[1000:-10]
    truth = labels(began[:, 0], 1.0, WINDOWS["5_10"])[1000:-10]
    assert told.max() < 0.6
    assert told.mean() == pytest.approx(truth.mean(), abs=0.06)


def test_only_the_past_is_known():
    random = np.random.default_rng(5)
    counts = traffic(np.arange(65.0, 600.0, 30.0), 600, random)
    other = counts.copy()
    other[400:] = random.poisson(50, other[400:].shape)
    _, one, _ = run(counts)
    _, two, _ = run(other)
    assert np.array_equal(one[:400], two[:400])
    assert not np.array_equal(one[400:], two[400:])


def test_series_learn_by_themselves():
    random = np.random.default_rng(6)
    counts = np.hstack([traffic(np.arange(65.0, 600, step), 600, random) for step in (20.0, 33.0)])
    _, both, _ = run(counts)
    _, alone, _ = run(counts[:, :1])
    assert both[:, :1] == pytest.approx(alone, abs=1e-9)


def test_gaps_are_not_silence():
    random = np.random.default_rng(7)
    counts = traffic(np.arange(65.0, 800.0, 20.0), 800, random)
    known = np.ones(counts.shape, bool)
    known[300:340] = False
    began, hazard, _ = run(np.where(known, counts, 0.0), known)
    assert not began[300:340].any()
    soon = 1.0 - np.prod(1.0 - hazard[:, 0, :2], axis=1)
    assert soon[604 - 1 - 100 : 604 - 100].max() > 0.5  # the grid was kept through the gap: 505 is due


def test_hazards_are_chances_whatever_comes_in():
    random = np.random.default_rng(8)
    counts = np.exp(random.uniform(0, 18, (400, 3))) * random.integers(0, 2, (400, 3))
    _, hazard, learner = run(counts, known=random.random((400, 3)) < 0.8)
    assert np.isfinite(hazard).all()
    assert (hazard >= 0).all()
    assert (hazard <= 1).all()
    assert np.isfinite(learner.magnitude()).all()


def test_tenths_of_a_second_foresee_the_same_period():
    random = np.random.default_rng(9)
    learner = ScheduleLearner(1, 0.1)
    soon = []
    for step in range(2500):
        count = random.poisson(100) + (900 if step > 700 and step % 100 < 20 else 0)
        learner.step(np.array([float(count)]), np.ones(1, bool), np.zeros(1))
        soon.append(1.0 - np.prod(1.0 - learner.hazard()[0, :2]))
    late = np.array(soon[1500:]).reshape(-1, 100)
    assert late[:, 90].min() > 0.5  # a second before
    assert late[4:, 30:70].max() < 0.3  # far from it, and from what anybody acts on
    assert learner.period_s[0] == pytest.approx(10.0, abs=0.05)


def test_magnitude_is_the_surplus_of_past_bursts():
    random = np.random.default_rng(10)
    _, _, learner = run(traffic(np.arange(65.0, 665.0, 20.0), 700, random), surplus=500.0)
    low, middle, high = learner.magnitude()[0]
    assert 0 < low <= middle <= high
    assert middle == pytest.approx(500.0 * 2, rel=0.6)


@pytest.mark.parametrize("gap", [57, 1234])
def test_a_gap_at_once_is_the_same_as_the_gap_step_by_step(gap):
    random = np.random.default_rng(14)
    counts = random.poisson(20, (4000, 2)) + np.where(np.arange(4000)[:, None] % np.array([200, 330]) < 20, 300.0, 0.0)
    one, two = ScheduleLearner(2, 0.1), ScheduleLearner(2, 0.1)
    for learner in (one, two):
        for row in counts[:3617]:
            learner.step(row, np.ones(2, bool), np.ones(2))
    one.skip(gap)
    for _ in range(gap):
        two.step(np.zeros(2), np.zeros(2, bool), np.zeros(2))
    for row in counts[:700]:
        for learner in (one, two):
            learner.step(row, np.ones(2, bool), np.ones(2))
    # Below eleven seconds a few answers to what was asked before the gap are given up, and nothing else.
    assert one.hazard() == pytest.approx(two.hazard(), abs=0.01 if gap > 120 else 0.05)
    assert one.magnitude() == pytest.approx(two.magnitude(), rel=0.2)
    assert one.period_s == pytest.approx(two.period_s)


def test_what_is_pondered_after_a_step_is_what_the_next_step_would_have_made_of_it():
    random = np.random.default_rng(18)
    counts = random.poisson(20, (1500, 2)) + np.where(np.arange(1500)[:, None] % np.array([200, 330]) < 20, 300.0, 0.0)
    prompt, lazy = ScheduleLearner(2, 0.1), ScheduleLearner(2, 0.1)
    for row in counts:
        for learner in (prompt, lazy):
            learner.step(row, np.ones(2, bool), row)
        assert np.array_equal(prompt.hazard(), lazy.hazard())
        prompt.ponder()
    lazy.ponder()
    assert np.array_equal(prompt.magnitude(), lazy.magnitude())
    assert prompt.magnitude().any()
    assert prompt.hazard().any()


def test_two_rhythms_at_once_are_both_foreseen():
    random = np.random.default_rng(15)
    onsets = np.concatenate([np.arange(65.0, 1500.0, 53.0), np.arange(80.0, 1500.0, 31.3)])
    began, hazard, _ = run(traffic(onsets, 1500, random, burst=90.0))
    truth = labels(began[:, 0], 1.0, (0, 2))[900:1480]
    soon = (1.0 - np.prod(1.0 - hazard[:, 0, :2], axis=1))[900:1480]
    assert soon[truth].mean() > 0.7
    assert soon[~truth].mean() < 0.2


def test_right_after_an_onset_there_is_none_by_rule():
    random = np.random.default_rng(16)
    began, hazard, _ = run(traffic(np.arange(65.0, 400.0, 20.0), 400, random))
    assert began[:, 0].any()
    assert (hazard[np.flatnonzero(began[:, 0]), 0, :1] == 0.0).all()
