"""Live scoring: what counts as right, when the gate opens and closes, and that old merits fade."""

import numpy as np
import pytest

from sentinel_api.records import CLASSES, HORIZONS_S
from sentinel_api.v1alpha1.prediction import ModelGate
from sentinel_core.forecast import checked
from sentinel_core.score import LiveScore

GATE = ModelGate(open_above_percent=60, close_below_percent=50, window_seconds=600, min_events=5)


def said(chance_in_second, second=0):
    """A forecast for class 1: that chance of an onset in that coming second."""
    hazard = np.zeros((CLASSES, 10))
    hazard[1, second] = chance_in_second
    return checked(0, "test", hazard, np.zeros((CLASSES, 3)), np.zeros((CLASSES, len(HORIZONS_S), 3)))


QUIET, ALARM = said(0.0), said(0.9)


def began(yes):
    found = np.zeros(CLASSES, bool)
    found[1] = yes
    return found


def score(step_s=0.1, gate=GATE):
    return LiveScore(CLASSES, step_s, gate)


def right_alarm(live):
    for _ in range(10):
        live.step(ALARM, began(False))
    live.step(QUIET, began(True))
    for _ in range(40):
        live.step(QUIET, began(False))


def false_alarm(live):
    live.step(ALARM, began(False))
    for _ in range(50):
        live.step(QUIET, began(False))


def test_an_alarm_before_a_burst_is_a_hit_with_its_lead_time():
    live = score()
    right_alarm(live)
    marks = live.marks()
    assert (marks.hits, marks.misses, marks.false_alarms) == (1, 0, 0)
    assert marks.lead_s == pytest.approx(1.0)
    assert marks.precision == 1.0


def test_a_burst_without_alarm_is_a_miss_and_an_alarm_without_burst_is_false():
    live = score()
    live.step(QUIET, began(True))
    false_alarm(live)
    marks = live.marks()
    assert (marks.hits, marks.misses, marks.false_alarms) == (0, 1, 1)
    assert marks.precision == 0.0
    assert marks.lead_s is None


def test_an_alarm_raised_as_the_burst_begins_foresaw_nothing():
    live = score()
    live.step(ALARM, began(True))
    assert (live.marks().hits, live.marks().misses) == (0, 1)


def test_who_cries_all_the_time_is_wrong_most_of_the_time():
    live = score()
    for step in range(3000):
        live.step(ALARM, began(step % 300 == 299))
    assert live.marks().precision < 0.2
    assert not live.trust.any()


def test_the_gate_opens_by_right_alarms_and_closes_below_its_lower_bound():
    live = score()
    for _ in range(4):
        right_alarm(live)
    assert live.trust[1] == 0.0  # four are too few to judge
    right_alarm(live)
    assert live.trust[1] == 1.0
    assert live.trust[[0, *range(2, CLASSES)]].max() == 0.0
    for _ in range(4):
        false_alarm(live)
    assert live.trust[1] == pytest.approx(5 / 9)  # below what opens it, above what closes it
    for _ in range(2):
        false_alarm(live)
    assert live.trust[1] == 0.0
    right_alarm(live)
    assert live.trust[1] == 0.0  # 6 of 12: at the lower bound, which opens nothing


def test_merits_fade_with_the_window():
    live = score(gate=GATE.model_copy(update={"window_seconds": 60}))
    for _ in range(6):
        right_alarm(live)
    assert live.trust[1] == 1.0
    for _ in range(700):
        live.step(QUIET, began(False))
    assert live.trust[1] == 0.0
    assert live.marks().hits == 0


def test_brier_is_the_mean_square_over_the_classes_that_had_bursts():
    live = score(step_s=1.0)
    for second in range(200):
        live.step(said(0.3, second=5), began(second % 25 == 24))
    # In ten of each 25 seconds a burst comes within ten.
    assert live.marks().brier == pytest.approx(0.4 * 0.7**2 + 0.6 * 0.3**2, rel=0.1)


def test_a_failed_forecast_is_no_answer():
    live = score(step_s=1.0)
    for _ in range(50):
        live.step(None, began(False))
    assert live.marks().brier is None
    live.step(None, began(True))
    assert live.marks().misses == 1
