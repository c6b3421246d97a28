"""Hedging: room follows the cost of a drop, the chance of the burst and its size, and nothing else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from sentinel_core.hedge import quantile, room_bytes

CHANCES = arrays.arrays(np.float64, 16, elements=st.floats(0, 1))
COSTS = arrays.arrays(np.float64, 16, elements=st.floats(1, 1000))
MAGNITUDES = arrays.arrays(np.float64, (16, 3), elements=st.floats(0, 1e10)).map(lambda table: np.cumsum(table, axis=1))


def room(chance, magnitude=(100, 500, 900), cost=9.0):
    return room_bytes(np.array([chance]), np.array([magnitude], float), np.array([cost]))[0]


@pytest.mark.parametrize(
    ("chance", "bytes_"),
    [(0.0, 0), (0.1, 0), (0.2, 500), (1.0, 900), (0.11, pytest.approx(1000 / 11, rel=1e-6))],
)
def test_with_a_drop_nine_times_as_bad_the_ninetieth_percentile_is_held(chance, bytes_):
    assert room(chance) == pytest.approx(bytes_)


def test_when_drops_cost_as_much_as_holding_only_a_likely_burst_gets_room():
    assert quantile(np.array([1.0])) == 0.5
    assert room(0.5, cost=1.0) == 0
    assert room(1.0, cost=1.0) == 500


def test_nothing_beyond_the_known_quantiles_is_made_up():
    assert room(1.0, cost=1000.0) == 900


@given(CHANCES, MAGNITUDES, COSTS, CHANCES, MAGNITUDES)
def test_more_forecast_or_dearer_drops_never_mean_less_room(chance, magnitude, cost, likelier, larger):
    before = room_bytes(chance, magnitude, cost) * (1 - 1e-9)
    assert (room_bytes(np.maximum(chance, likelier), magnitude, cost) >= before).all()
    assert (room_bytes(chance, magnitude + larger, cost) >= before).all()
    assert (room_bytes(chance, magnitude, cost * 2) >= before).all()


@given(MAGNITUDES, COSTS)
def test_no_chance_is_no_room(magnitude, cost):
    assert (room_bytes(np.zeros(16), magnitude, cost) == 0).all()
