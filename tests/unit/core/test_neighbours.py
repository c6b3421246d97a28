"""Neighbours are believed as far as they were right: what never helped is worth nothing, what helps comes in time."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sentinel_core.forecast import nothing_expected
from sentinel_core.neighbours import LEAST, WINDOW_S, WITNESSES_MAX, Neighbours, Told, Word, informed
from sentinel_core.room import Outlook
from sentinel_core.signature import HAZARD_BINS

SERIES = 16
STEP_NS = 500_000_000
NONE = np.zeros(SERIES, np.bool_)
DEMAND = np.full(SERIES, 1000.0)


def began(*series):
    found = NONE.copy()
    found[list(series)] = True
    return found


def told(at_ns, origin="n2", series=3, magnitude=1e6, confidence=1.0):
    return Told(origin, series, at_ns, magnitude, confidence)


def lived(neighbours, alarms_s, bursts_s, seconds, series=3, **alarm):
    """So many seconds of alarms and of bursts here; the last word."""
    at = {round(each * 1e9 / STEP_NS) for each in alarms_s}
    here = {round(each * 1e9 / STEP_NS) for each in bursts_s}
    for step in range(round(seconds * 1e9 / STEP_NS)):
        now_ns = step * STEP_NS
        heard = [told(now_ns, series=series, **alarm)] if step in at else []
        word = neighbours.step(heard, began(series) if step in here else NONE, now_ns)
    return word


def taught(lag_s=None, times=20, every_s=40.0):
    """Neighbours of whom one raised so many alarms, each followed by a burst after `lag_s`, or never."""
    neighbours = Neighbours(SERIES)
    alarms = [every_s * number + 1.0 for number in range(times)]
    bursts = [] if lag_s is None else [each + lag_s for each in alarms]
    lived(neighbours, alarms, bursts, every_s * times)
    return neighbours, round(every_s * times * 1e9)


def test_a_neighbour_that_never_helped_is_worth_exactly_nothing():
    neighbours, now_ns = taught(lag_s=None, times=6)
    assert neighbours.usefulness("n2", 3) == 0.0
    word = neighbours.step([told(now_ns)], NONE, now_ns)
    assert not word.sign.any()
    assert not word.hazard.any()
    assert word.origins == ("",) * SERIES


def test_a_neighbour_that_always_helped_is_believed_and_its_burst_expected_when_it_came_before():
    neighbours, now_ns = taught(lag_s=2.5)
    assert neighbours.usefulness("n2", 3) > 0.85
    word = neighbours.step([told(now_ns)], NONE, now_ns)
    assert word.hazard[3].argmax() == 2
    assert word.origins[3] == "n2"
    assert word.sign[3] > 0.85
    assert not word.sign[[0, 1, 2, 4]].any(), "of other classes it said nothing"


def test_alarms_as_often_right_as_chance_are_worth_nothing():
    neighbours = Neighbours(SERIES)
    random = np.random.default_rng(7)
    alarms, bursts = (np.cumsum(random.exponential(40, 100)) for _ in range(2))
    lived(neighbours, alarms, bursts, 3600)
    assert neighbours.usefulness("n2", 3) == 0.0


def test_one_that_stopped_helping_is_forgotten_and_one_that_helps_again_is_believed_again():
    alarms = [40.0 * number + 1 for number in range(60)]
    bursts = [each + 2 for each in (*alarms[:20], *alarms[40:])]
    worth = []
    for end in (800, 1600, 2400):
        neighbours = Neighbours(SERIES)
        lived(neighbours, alarms, bursts, end)
        worth.append(neighbours.usefulness("n2", 3))
    assert worth[0] > 0.8
    assert worth[1] == 0.0
    assert worth[2] > 0.5


def test_whoever_bursts_after_us_tells_nothing_new():
    neighbours = Neighbours(SERIES)
    bursts = [40.0 * number + 1 for number in range(10)]
    lived(neighbours, [each + 1.5 for each in bursts], bursts, 400)
    assert neighbours.usefulness("n2", 3) == 0.0


def test_what_was_told_fades_and_is_over_when_the_window_is():
    neighbours, now_ns = taught(lag_s=2.5)
    signs = [neighbours.step([told(now_ns)], NONE, now_ns).sign[3]]
    for age_ns in range(STEP_NS, round(WINDOW_S * 1e9), STEP_NS):
        signs.append(neighbours.step([], NONE, now_ns + age_ns).sign[3])
    assert signs == sorted(signs, reverse=True)
    assert signs[-1] < 0.1
    assert not neighbours.step([], NONE, now_ns + round((WINDOW_S + 0.1) * 1e9)).sign.any()


def test_the_word_ends_with_the_burst_it_foretold():
    neighbours, now_ns = taught(lag_s=2.5)
    neighbours.step([told(now_ns)], NONE, now_ns)
    assert not neighbours.step([], began(3), now_ns + STEP_NS).sign.any()


ALARMS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c"]),
        st.integers(-2, SERIES + 2),
        st.integers(-20 * 10**9, 20 * 10**9),
        st.floats(0, 1e12),
        st.floats(0, 1),
    ),
    max_size=4,
)


@given(st.lists(st.tuples(ALARMS, st.sets(st.integers(0, SERIES - 1)), st.integers(0, 5 * 10**9)), max_size=15))
def test_whatever_is_told_chances_stay_chances_and_nothing_is_said_unasked(steps):
    neighbours, now_ns, ever = Neighbours(SERIES), 0, set()
    for alarms, bursts, elapsed_ns in steps:
        now_ns += elapsed_ns
        heard = [told(now_ns + ahead, origin, series, size, sure) for origin, series, ahead, size, sure in alarms]
        ever |= {each.series for each in heard}
        word = neighbours.step(heard, began(*bursts), now_ns)
        assert ((word.hazard >= 0) & (word.hazard <= 1)).all()
        assert ((word.sign >= 0) & (word.sign <= 1)).all()
        assert np.isfinite(word.magnitude_bytes).all()
        assert set(np.flatnonzero(word.sign)) <= ever - bursts
        for origin in "abc":
            for series in range(SERIES):
                worth = neighbours.usefulness(origin, series)
                assert worth == 0.0 or LEAST <= worth <= 1.0


def test_a_crowd_of_neighbours_fills_no_memory():
    neighbours = Neighbours(SERIES)
    neighbours.step([told(0, origin=f"n{number}") for number in range(WITNESSES_MAX + 10)], NONE, 0)
    assert len(neighbours._witnesses) == WITNESSES_MAX


def said(chance, series=3, magnitude=1e6):
    hazard, sign = np.zeros((SERIES, HAZARD_BINS)), np.zeros(SERIES)
    hazard[series, 1], sign[series] = chance, chance
    magnitudes = np.zeros((SERIES, 3))
    magnitudes[series] = magnitude
    return Word(hazard, magnitudes, sign, ("",) * SERIES)


def test_without_a_word_the_outlook_stays_as_it_was():
    own = Outlook(nothing_expected(5, DEMAND), np.ones(SERIES))
    assert informed(own, said(0.0), 5, DEMAND) is own
    assert informed(None, said(0.0), 5, DEMAND) is None


def test_a_word_is_an_outlook_where_there_was_none():
    found = informed(None, said(0.6), 5, DEMAND)
    assert found.forecast.made_ns == 5
    assert found.forecast.burst_within(2)[3] == 0.6
    assert found.trust[3] == 1.0
    assert not np.delete(found.trust, 3).any()


@given(st.floats(0.01, 1), st.floats(0.01, 1), st.floats(0, 1))
def test_the_word_counts_only_where_it_expects_more_than_the_node_itself(theirs, own, trust):
    forecast = nothing_expected(5, DEMAND)
    forecast.hazard[3, 0] = own
    forecast.hazard[4, 0] = own
    forecast.magnitude_bytes[3] = 5e6
    found = informed(Outlook(forecast, np.full(SERIES, trust)), said(theirs), 5, DEMAND)
    assert found.forecast.hazard[4, 0] == own
    assert found.trust[4] == trust
    chance = (found.forecast.burst_within(HAZARD_BINS) * found.trust)[3]
    assert abs(chance - max(theirs, own * trust)) < 1e-9
    assert found.forecast.magnitude_bytes[3, 0] == 5e6, "its own bursts were bigger"
