"""Forecasts: numbers that mean something, and sums that never claim more than their parts know."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from sentinel_api.errors import Invalid
from sentinel_core import forecast
from sentinel_core.forecast import checked, merged, nothing_expected, spreads

CHANCES = arrays.arrays(np.float64, (16, 10), elements=st.floats(0, 1))
CORRELATIONS = st.floats(0, 1)
SHAPES = st.tuples(st.integers(1, 20), st.just(4))


def table(shape):
    return arrays.arrays(np.float64, shape, elements=st.floats(0, 1e10))


PAIRS = SHAPES.flatmap(lambda shape: st.tuples(table(shape), table(shape))).map(lambda pair: (pair[0], sum(pair)))


def of(hazard=None, magnitude=None, demand=None):
    return checked(
        0,
        "model",
        np.zeros((16, 10)) if hazard is None else hazard,
        np.zeros((16, 3)) if magnitude is None else magnitude,
        np.zeros((16, 4, 3)) if demand is None else demand,
    )


@given(CHANCES)
def test_a_burst_is_never_less_likely_within_a_longer_time(hazard):
    chances = [of(hazard).burst_within(seconds) for seconds in range(12)]
    assert (chances[0] == 0).all()
    for shorter, longer in pairwise(chances):
        assert (shorter <= longer + 1e-12).all()
        assert (longer <= 1).all()


def test_the_onset_is_expected_where_hazard_and_silence_before_it_meet():
    hazard = np.zeros((16, 10))
    hazard[0, 3] = 0.9
    hazard[1] = 0.5
    assert of(hazard).seconds_to_burst()[:3].tolist() == [3.5, 0.5, 10.0]


@pytest.mark.parametrize("name", ["hazard", "magnitude", "demand"])
@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_an_answer_that_is_not_finite_is_refused(name, odd):
    shape = {"hazard": (16, 10), "magnitude": (16, 3), "demand": (16, 4, 3)}[name]
    values = np.zeros(shape)
    values.flat[7] = odd
    with pytest.raises(Invalid, match="not finite"):
        of(**{name: values})


def test_an_answer_of_another_shape_is_refused():
    with pytest.raises(Invalid, match=r"hazard of a forecast has shape \(16, 9\): it must be \(16, 10\)"):
        of(np.zeros((16, 9)))


@given(arrays.arrays(np.float32, (16, 4, 3), elements=st.floats(-1e6, 1e6, width=32)))
def test_small_faults_of_a_model_are_mended(demand):
    mended = of(hazard=np.full((16, 10), 1.0001), demand=demand)
    assert (mended.hazard == 1).all()
    assert (mended.demand >= 0).all()
    assert (np.diff(mended.demand, axis=-1) >= 0).all()


def test_when_nothing_is_expected_demand_stays_and_no_room_is_asked_for():
    calm = nothing_expected(5, np.arange(16.0))
    assert (calm.burst_within(10) == 0).all()
    assert (calm.magnitude_bytes == 0).all()
    assert calm.node_demand().p95.tolist() == [120.0] * 4


@given(PAIRS, CORRELATIONS)
def test_the_quantile_of_the_sum_lies_between_the_sums_of_medians_and_of_quantiles(pair, correlation):
    p50, p95 = pair
    high = spreads(p50, p95).p95(correlation)
    slack = 1 + 1e-9
    assert (p50.sum(axis=0) <= high * slack).all()
    assert (high <= p95.sum(axis=0) * slack + 1e-6).all()


@given(PAIRS, CORRELATIONS, CORRELATIONS)
def test_more_correlation_never_means_more_certainty(pair, one, other):
    summed = spreads(*pair)
    low, high = sorted((one, other))
    assert (summed.p95(low) <= summed.p95(high) * (1 + 1e-9) + 1e-6).all()


@given(PAIRS, CORRELATIONS, st.data())
def test_more_expected_of_one_node_never_means_less_expected_of_all(pair, correlation, data):
    p50, p95 = pair
    node = data.draw(st.integers(0, len(p50) - 1))
    # A median may rise as far as its own p95: that is the case in which the spread shrinks.
    raised_p50, raised_p95 = p50.copy(), p95.copy()
    raised_p50[node] += (p95 - p50)[node] * data.draw(st.floats(0, 1))
    raised_p95[node] += data.draw(st.floats(0, 1e10))
    before = spreads(p50, p95).p95(correlation)
    assert (spreads(raised_p50, p95).p95(correlation) >= before * (1 - 1e-9) - 1e-6).all()
    assert (spreads(p50, raised_p95).p95(correlation) >= before * (1 - 1e-9) - 1e-6).all()


@given(PAIRS, CORRELATIONS, st.integers(0, 20))
def test_digests_of_parts_say_the_same_as_all_nodes_at_once(pair, correlation, cut):
    p50, p95 = pair
    parts = [spreads(p50[:cut], p95[:cut]), spreads(p50[cut:], p95[cut:])]
    assert merged(parts).p95(correlation) == pytest.approx(spreads(p50, p95).p95(correlation), rel=1e-9, abs=1e-6)


def test_independent_nodes_need_less_together_than_apart():
    p50, p95 = np.full((100, 4), 10.0), np.full((100, 4), 20.0)
    assert spreads(p50, p95).p95(0.0).tolist() == [1100.0] * 4
    assert spreads(p50, p95).p95(1.0).tolist() == [2000.0] * 4


def test_no_nodes_expect_nothing():
    assert merged([]).p95(0.5).tolist() == [0.0] * len(forecast.HORIZONS_S)


@pytest.mark.parametrize("correlation", [-0.1, 1.1, float("nan")])
def test_an_impossible_correlation_is_refused(correlation):
    with pytest.raises(Invalid, match="between 0 and 1"):
        merged([]).p95(correlation)


def test_medians_and_quantiles_of_different_nodes_are_not_mixed():
    with pytest.raises(Invalid, match="one row a node"):
        spreads(np.zeros((3, 4)), np.zeros((2, 4)))
