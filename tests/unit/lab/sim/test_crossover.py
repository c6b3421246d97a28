"""An actuator's latency is summed up exactly, and foresight is credited only with what it really saves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentinel_api.errors import Invalid
from sentinel_lab.bench.crossover import metrics, spelled
from sentinel_lab.sim import crossover, foresight
from sentinel_lab.sim.capacity import BLOCK_S, QUEUE_S, carried, rolling_max, rolling_mean
from sentinel_lab.sim.crossover import LATENCIES_S, PRICE, Subject

BIN_S = 1.0

pytestmark = pytest.mark.timeout(300)  # two CPU seconds, which a busy machine may stretch


def stepwise(level: np.ndarray, demand: np.ndarray, latency_s: float, step_s: float = 0.05) -> tuple[float, float]:
    """The same in small steps and plain words."""
    queue = held = lost = 0.0
    for step in range(round(BLOCK_S / step_s)):
        now_s = (step + 0.5) * step_s
        ordered = level[max(0, int((now_s - latency_s) // BIN_S))]
        queue = max(0.0, queue + (demand[int(now_s // BIN_S)] - ordered) * step_s)
        over = max(0.0, queue - QUEUE_S * ordered)
        queue, held, lost = queue - over, held + ordered * step_s, lost + over
    return held, lost


@settings(max_examples=25)
@given(
    st.lists(st.integers(0, 50), min_size=60, max_size=60),
    st.lists(st.integers(1, 50), min_size=60, max_size=60),
    st.sampled_from([0.0, 0.25, 0.5, 1.0, 1.75, 10.0, 30.0]),
)
def test_two_stretches_a_bin_are_as_good_as_small_steps(demand, level, latency_s):
    wanted, ordered = np.array(demand, np.float64), np.array(level, np.float64)
    found = carried(ordered[None, None], wanted[None], BIN_S, latency_s)
    held, lost = stepwise(ordered, wanted, latency_s)
    assert found.held[0, 0] == pytest.approx(held)
    assert found.lost[0, 0] == pytest.approx(lost, abs=1e-6 + 0.002 * sum(demand))
    assert found.offered[0] == pytest.approx(wanted.sum())


@given(st.lists(st.floats(0, 100), min_size=1, max_size=40), st.integers(1, 50))
def test_what_is_held_over_a_time_looks_back_and_never_ahead(values, bins):
    series = np.array([values])
    windows = [values[max(0, at - bins + 1) : at + 1] for at in range(len(values))]
    assert rolling_max(series, bins)[0].tolist() == [max(each) for each in windows]
    assert rolling_mean(series, bins)[0].tolist() == pytest.approx([sum(each) / len(each) for each in windows])


def surprising(seconds: int = 2_520) -> Subject:
    """Bursts of three seconds, ten times the calm, at times that nothing tells."""
    random = np.random.default_rng(4)
    onsets = np.cumsum(random.integers(20, 80, seconds // 20))
    onsets = onsets[onsets < seconds - 3]
    demand = np.full((1, seconds), 100.0)
    for length in range(3):
        demand[0, onsets + length] = 1_000.0
    known = np.ones(demand.shape, np.bool_)
    return Subject("surprising", 1.0, demand, known, crossover.TRACE, seconds // 2, (onsets,))


@pytest.fixture(scope="module")
def points():
    return [
        each for each in crossover.crossover(surprising(), latencies_s=(LATENCIES_S[0], 120.0)) if each.price == PRICE
    ]


def test_at_a_microsecond_there_is_nothing_to_foresee(points):
    assert [each.gain for each in points if each.latency_s == LATENCIES_S[0]] == [0.0, 0.0]


def test_with_a_slow_actuator_knowing_saves_most_of_what_reacting_holds(points):
    oracle = {each.latency_s: each for each in points if each.source == "oracle"}
    assert oracle[120.0].low > 0.5
    assert oracle[120.0].reactive_held > 0.9


def test_the_product_is_not_credited_with_what_it_cannot_know(points):
    """And if its rules could see a bin before it has ended, they would be."""
    assert all(each.gain <= 0.02 for each in points if each.source == "product")


def test_what_was_foretold_too_late_to_act_on_is_of_no_use():
    """An order follows the end of the bin whose forecast it is: a burst told in its own bin arrives after it."""
    subject = surprising()
    told = foresight.told_exactly(
        subject.demand, (foresight.bursts(subject.demand[0], subject.onsets[0], 1.0),), 1.0, 0.0
    )
    late = np.concatenate([np.zeros((1, 1, 3)), told[..., :-3]], axis=-1)
    base = np.full((1, *subject.demand.shape), 100.0)
    right = crossover.carried_together(base, told, subject, 0.0)
    wrong = crossover.carried_together(base, late, subject, 0.0)
    assert right.lost.sum() < 0.02 * right.offered.sum()
    assert wrong.lost.sum() > 0.15 * wrong.offered.sum()


def point(**changed) -> dict:
    row = {
        "subject": "any",
        "source": "product",
        "latency_s": 1.0,
        "price": PRICE,
        "gain": 0.4,
        "gain_in_hindsight": 0.38,
    }
    row |= {"low": 0.3, "high": 0.5, "held": 0.2, "lost": 0.01, "reactive_held": 0.5, "reactive_lost": 0.02}
    return row | changed


def test_a_gain_over_a_rule_that_was_far_from_the_best_of_its_kind_has_no_figure():
    assert metrics([point()])["any.gain_at_1s"] == 0.4
    assert metrics([point(gain_in_hindsight=0.0)]) == {}


def test_it_pays_from_the_smallest_latency_whose_whole_interval_is_worth_it():
    rows = [point(), point(latency_s=10.0), point(latency_s=0.1, low=0.0)]
    assert metrics(rows)["any.pays_from_s"] == 1.0


def test_a_subject_without_enough_time_is_refused_with_a_sentence():
    with pytest.raises(Invalid, match="fewer than 10 minutes"):
        crossover.crossover(surprising(seconds=600))


def test_latencies_are_spelled_as_the_metrics_name_them():
    assert [spelled(each) for each in LATENCIES_S] == ["10us", "1ms", "10ms", "100ms", "1s", "10s", "30s", "120s"]
