"""The measures, on answers whose marks are known."""

import numpy as np
import pytest

from sentinel_training import measures

TRUTH = np.array([True, False, True, False, False])


def test_perfect_ranking_has_an_average_precision_of_one_and_chance_that_of_the_base_rate():
    assert measures.average_precision(TRUTH, TRUTH.astype(float)) == 1.0
    assert measures.average_precision(TRUTH, np.zeros(5)) == pytest.approx(0.4)


def test_average_precision_by_hand():
    assert measures.average_precision(TRUTH, np.array([0.9, 0.8, 0.7, 0.1, 0.0])) == pytest.approx((1 + 2 / 3) / 2)


def test_without_any_burst_there_is_nothing_to_rank():
    assert measures.average_precision(np.zeros(5, bool), np.arange(5.0)) is None
    assert measures.recall_at(0.9, np.zeros(5, bool), np.arange(5.0)) is None


def test_recall_is_the_most_that_a_threshold_of_that_precision_finds():
    score = np.array([0.9, 0.2, 0.8, 0.85, 0.0])
    assert measures.recall_at(1.0, TRUTH, score) == 0.5
    assert measures.recall_at(0.6, TRUTH, score) == 1.0
    assert measures.recall_at(1.0, TRUTH, np.array([0.0, 0.9, 0.0, 0.0, 0.0])) == 0.0


def test_calibration_is_the_distance_between_said_and_come():
    came = np.array([True] * 3 + [False] * 7)
    assert measures.calibration_error(came, np.full(10, 0.3)) == pytest.approx(0.0)
    assert measures.calibration_error(came, np.full(10, 0.9)) == pytest.approx(0.6)


def test_an_interval_holds_the_value_and_widens_with_clumping():
    random = np.random.default_rng(0)
    score = random.random(6000)
    spread_out = random.random(6000) < score * 0.2
    low, high = measures.interval(measures.average_precision, spread_out, score, 1.0)
    assert low < measures.average_precision(spread_out, score) < high
    clumped = spread_out & (np.arange(6000) // 300 % 7 == 0)
    wide_low, wide_high = measures.interval(measures.average_precision, clumped, score, 1.0)
    assert (wide_high - wide_low) / wide_high > (high - low) / high


def test_an_alarm_is_right_when_a_burst_comes_in_its_window():
    due = np.isin(np.arange(100), [9, 39, 69])  # known at 10, 40 and 70 s
    told = measures.alarms(due, np.array([17.0, 43.0, 90.0]), (5, 10), 1.0)
    assert (told.raised, told.right, told.onsets, told.foretold) == (3, 1, 3, 1)
    assert (told.leads_s, told.steps) == ((7.0,), (9,))
    assert told.precision == pytest.approx(1 / 3)
    assert told.recall == pytest.approx(1 / 3)
    assert told.false_per_hour == pytest.approx(72)


def test_an_alarm_stands_for_ten_seconds_and_is_counted_once():
    told = measures.alarms(np.ones(40, bool), np.array([]), (1, 10), 1.0)
    assert told.raised == 4
    assert told.precision == 0.0
    assert told.recall is None


def in_seconds(chances):
    """Of an onset's second, turned into chances given none before."""
    chances = np.array(chances)
    return chances / (1.0 - np.cumsum(chances) + chances)


def test_chances_of_a_window_are_of_the_first_onset():
    hazard = np.full(10, 0.1)
    inside, first, after = measures.chances(hazard, (5, 10))
    assert inside == pytest.approx(0.9**5 - 0.9**10)
    assert first == pytest.approx(0.9**5 * 0.1)
    assert after == pytest.approx(0.9**10)


def test_an_alarm_waits_while_more_can_come_into_its_window_than_leaves_it():
    still_coming = in_seconds([0, 0, 0, 0, 0, 0, 0.01, 0.1, 0.3, 0.45])  # 0.14 lies after it, 0 in its first second
    in_the_middle = in_seconds([0, 0, 0, 0, 0, 0.1, 0.3, 0.3, 0.2, 0.08])  # 0.02 lies after it
    leaving = in_seconds([0, 0, 0, 0.1, 0.3, 0.4, 0.1, 0.05, 0, 0])  # 0.4 lies before it
    due = measures.due(np.array([still_coming, in_the_middle, leaving]), (5, 10), 0.75)
    assert due.tolist() == [False, True, False]
    assert not measures.due(np.array([in_the_middle]), (5, 10), 0.99).any()


def test_the_likeliest_second_is_that_of_the_first_onset():
    hazard = np.array([[0.1, 0.5, 0.5, 0.9], [0.0, 0.0, 0.2, 1.0]])
    assert measures.likeliest_s(hazard).tolist() == [1.5, 3.5]
