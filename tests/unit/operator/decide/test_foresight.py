"""Forecasts count as long as they come closer than taking present demand for the future."""

from datetime import timedelta

import pytest

from sentinel_operator.decide.demand import Known
from sentinel_operator.decide.foresight import Record, kept
from support.worlds import NOW

STEP_S, HORIZON_S = 10, 60
AHEAD = HORIZON_S // STEP_S


def told(demand, expected):
    """The record after all that demand, with `expected(place)` as the forecast that is made there."""
    record = Record()
    for place, now in enumerate(demand):
        known = Known(now, expected(place), expected(place))
        record = kept(record, NOW + timedelta(seconds=STEP_S * place), known, HORIZON_S)
    return record


BURSTS = ([100.0] * 20 + [300.0] * 10) * 4
CALM = [100.0, 102.0] * 100


def right(place):
    return BURSTS[min(place + AHEAD, len(BURSTS) - 1)]


def test_a_new_leader_believes():
    assert Record().pays


def test_who_foresees_bursts_is_believed():
    assert told(BURSTS, right).pays


@pytest.mark.parametrize("wrong", [300.0, 200.0, 0.0])
def test_who_foretells_what_does_not_come_is_not_believed(wrong):
    assert not told([100.0] * 50, lambda _: wrong).pays


def test_a_calm_time_takes_no_trust_away_and_gives_none():
    def noisy(place):
        return right(place) if place < len(BURSTS) else 107.0

    assert told(BURSTS + CALM, noisy).pays

    def late(place):
        return 300.0 if place < 50 else 100.0

    assert not told([100.0] * 50 + CALM, late).pays


def test_what_was_said_waits_no_longer_than_its_time():
    assert len(told(BURSTS, right).waiting) <= AHEAD + 1
