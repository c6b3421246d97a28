"""The rule of a burst's onset, on series whose onsets are known by construction."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel_api.errors import Invalid
from sentinel_core.events import LIVE, TRACE, WINDOWS, Onsets, Rule, labels


def found(counts, known=None, step_s=1.0, rule=TRACE):
    onsets = Onsets(1, step_s, rule)
    known = np.ones(len(counts), bool) if known is None else known
    return np.array([onsets.step(np.array([float(c)]), np.array([k]))[0] for c, k in zip(counts, known, strict=True)])


def test_a_step_of_four_times_the_mean_is_an_onset():
    assert np.flatnonzero(found([10] * 60 + [40] + [10] * 20)).tolist() == [60]


def test_three_times_the_mean_is_not_yet():
    assert not found([100] * 60 + [300] + [100] * 20).any()


def test_what_chance_explains_is_no_burst():
    assert not found([1] * 60 + [5] + [1] * 20).any()  # five times the mean, but only four standard deviations
    assert found([1] * 60 + [7] + [1] * 20).any()


def test_four_events_are_no_burst_however_quiet_it_was():
    assert not found([0] * 60 + [4]).any()
    assert found([0] * 60 + [5]).any()


def test_nothing_is_judged_before_half_the_trailing_time_was_seen():
    assert not found([1] * 20 + [500] + [1] * 5).any()


def test_a_second_onset_within_ten_seconds_is_the_same_burst():
    assert np.flatnonzero(found([10] * 60 + [80] + [10] * 8 + [80, 80] + [10] * 5)).tolist() == [60, 70]


def test_live_a_long_burst_begins_once_and_the_next_needs_a_fall_first():
    counts = [10] * 60 + [100] * 8 + [10] * 2 + [200] + [10] * 3
    assert np.flatnonzero(found(counts, rule=LIVE)).tolist() == [60, 70]
    assert np.flatnonzero(found(counts, rule=Rule(refractory_s=2.0))).tolist() != [60, 70]


def test_a_gap_of_the_recorder_is_not_silence():
    counts = [50] * 60 + [0] * 45 + [50] * 30
    known = np.array([True] * 60 + [False] * 45 + [True] * 30)
    assert not found(counts, known).any()
    assert found(counts).any()  # taken for silence, its end looks like a burst


def test_a_step_that_was_not_measured_has_no_onset():
    assert not found([10] * 60 + [90], np.array([True] * 60 + [False])).any()


@given(st.lists(st.integers(0, 300), min_size=80, max_size=160))
def test_onsets_keep_their_distance(counts):
    at = np.flatnonzero(found(counts))
    assert (np.diff(at) >= 10).all()


def test_series_do_not_see_each_other():
    onsets, alone = Onsets(2, 1.0), Onsets(1, 1.0)
    random = np.random.default_rng(0)
    for _ in range(300):
        one, other = random.poisson(20), random.poisson(500) * random.integers(0, 9)
        both = onsets.step(np.array([float(one), float(other)]), np.ones(2, bool))
        assert both[0] == alone.step(np.array([float(one)]), np.ones(1, bool))[0]


def test_labels_count_lead_time_from_when_a_step_is_known():
    begun = np.zeros(30, bool)
    begun[20] = True  # begins at second 20; step 14 is known at second 15, five seconds before
    assert np.flatnonzero(labels(begun, 1.0, WINDOWS["5_10"])).tolist() == [10, 11, 12, 13, 14]
    assert np.flatnonzero(labels(begun, 1.0, WINDOWS["1_10"])).tolist() == list(range(10, 19))


def test_a_step_longer_than_the_trailing_time_is_refused():
    with pytest.raises(Invalid, match="57 s is longer"):
        Onsets(1, 57.0, Rule(trailing_s=20.0))


def test_counts_that_are_no_whole_numbers_leave_no_mean_below_zero():
    """A late tick's packets are spread over its periods; what rounding leaves of them must not become a root."""
    onsets, random = Onsets(16, 0.1, LIVE), np.random.default_rng(1)
    everywhere = np.ones(16, np.bool_)
    for step in range(1_800):
        onsets.step(random.random(16) * 7.3 if step < 150 else np.zeros(16), everywhere)
        assert (onsets.mean >= 0).all()
