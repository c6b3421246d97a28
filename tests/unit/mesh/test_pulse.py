"""When a beat is overdue: at once where beats were punctual, later where they were not, and never without end."""

from hypothesis import given
from hypothesis import strategies as st

from sentinel_mesh.pulse import (
    HALF_LIFE_NS,
    LEAST_PERIODS,
    MOST_NS,
    PERIOD_NS,
    Rhythm,
    Tuning,
    beaten,
)
from sentinel_mesh.watch import LONGEST_STEP_NS, STEP_NS, step

LEAST_NS = LEAST_PERIODS * PERIOD_NS
GAPS = st.lists(st.integers(0, 2 * MOST_NS), max_size=40)


def after(gaps):
    rhythm, now_ns = beaten(None, PERIOD_NS, 0), 0
    for gap_ns in gaps:
        now_ns += gap_ns
        rhythm = beaten(rhythm, PERIOD_NS, now_ns)
    return rhythm


def test_the_death_of_a_punctual_node_is_noticed_within_a_hundred_milliseconds():
    patience_ns = after([PERIOD_NS] * 20).patience_ns()
    assert patience_ns == LEAST_NS
    assert patience_ns + PERIOD_NS + STEP_NS <= 100_000_000


@given(GAPS)
def test_patience_has_bounds_whatever_came_before(gaps):
    assert LEAST_NS <= after(gaps).patience_ns() <= MOST_NS


@given(GAPS, st.integers(0, MOST_NS - 1))
def test_a_gap_that_just_was_is_not_overdue_when_it_comes_again(gaps, gap_ns):
    rhythm = after([*gaps, gap_ns])
    assert not rhythm.overdue(rhythm.last_ns + gap_ns)


def test_patience_is_forgotten_by_halves():
    starved = after([200_000_000])
    calm = after([200_000_000] + [PERIOD_NS] * (2 * HALF_LIFE_NS // PERIOD_NS))
    assert starved.patience_ns() == 1.25 * 200_000_000
    assert calm.patience_ns() == LEAST_NS


def test_an_absence_teaches_nothing():
    assert after([PERIOD_NS, MOST_NS + 1]) == Rhythm(PERIOD_NS, PERIOD_NS + MOST_NS + 1, PERIOD_NS)


def test_a_node_is_overdue_only_beyond_patience():
    rhythm = after([PERIOD_NS])
    assert not rhythm.overdue(rhythm.last_ns + int(LEAST_NS))
    assert rhythm.overdue(rhythm.last_ns + int(LEAST_NS) + 1)
    assert not rhythm.overdue(rhythm.last_ns + int(LEAST_NS) + 1, Tuning(least_periods=4))


def test_a_watcher_that_was_held_up_counts_little_of_that_time():
    assert step(100, STEP_NS) == 100 + STEP_NS
    assert step(100, 10**9) == 100 + LONGEST_STEP_NS
