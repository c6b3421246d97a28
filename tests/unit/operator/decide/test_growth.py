"""Growth that lasts, told from jumps, waves and noise."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel_operator.decide.growth import WINDOW, Seen, kept, rise
from support.worlds import NOW

STEP_S, COUNT = 10, 13
AHEAD_S = 70


def window(*demands, step_s=STEP_S):
    """The last demand is of now."""
    latest = len(demands) - 1
    return tuple(Seen(NOW - timedelta(seconds=step_s * (latest - i)), float(d)) for i, d in enumerate(demands))


def test_what_rises_by_as_much_each_time_goes_on_to():
    ramp = window(*range(100, 100 + COUNT))
    assert 5 / 112 < rise(ramp, AHEAD_S) < 7 / 112, "all but its two largest steps"


@pytest.mark.parametrize(
    "demands",
    [
        pytest.param((), id="nothing is known"),
        pytest.param((0,) * COUNT, id="nobody asks for anything"),
        pytest.param((100,) * COUNT, id="calm"),
        pytest.param((100,) * 8 + (250,) * 5, id="a jump"),
        pytest.param((100,) * 6 + (250,) * 7, id="a jump in the middle"),
        pytest.param((100,) * 6 + (170,) + (250,) * 6, id="a jump between two looks"),
        pytest.param(tuple(range(100, 107)) + tuple(range(105, 99, -1)), id="a hill"),
        pytest.param((100,) * 11 + (101, 102), id="it has only begun"),
        pytest.param(tuple(range(200, 200 - COUNT, -1)), id="it falls"),
        pytest.param(tuple(range(100, 109)), id="too young a history"),
        pytest.param((100, 101, 102), id="too few points"),
    ],
)
def test_what_does_not_keep_growing_asks_for_nothing(demands):
    assert rise(window(*demands, step_s=STEP_S if len(demands) > 4 else 60), AHEAD_S) == 0


def test_growth_within_what_chance_does_is_none():
    noise = [3 * (-1) ** i for i in range(COUNT)]
    assert rise(window(*(100 + 0.25 * i + n for i, n in enumerate(noise))), AHEAD_S) == 0
    assert rise(window(*(100 + 2 * i + n for i, n in enumerate(noise))), AHEAD_S) > 0


@given(st.lists(st.floats(0, 1e12), min_size=COUNT, max_size=COUNT))
def test_it_never_takes_from_what_is_there(demands):
    assert rise(window(*demands), AHEAD_S) >= 0


def test_the_window_is_kept_and_a_hole_in_it_starts_it_anew():
    points = ()
    for i in range(30):
        points = kept(points, Seen(NOW + timedelta(seconds=STEP_S * i), 1.0))
    assert len(points) == COUNT
    assert points[-1].at - points[0].at == WINDOW
    after = Seen(points[-1].at + timedelta(seconds=120), 1.0)
    assert kept(points, after) == (after,)
