"""What neighbours and balancers tell becomes hints; what is seen here is told on, and what was only heard is not."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from sentinel_agent.hints import no_hints
from sentinel_agent.neighbours import bursts, hints
from sentinel_api.records import CLASSES, Alarm, Share
from sentinel_api.v1alpha1.nodeconfig import NodeConfig
from sentinel_core.forecast import checked
from support.ticks import tick, with_lane

ONE = NodeConfig.parse({"trafficClasses": [{"name": "bulk", "match": [{"port": 1}]}]})
CLASS = 1


def heard(confidence, traffic_class=CLASS):
    alarm = Alarm("other", traffic_class, onset_in_ms=0, magnitude_bytes=1, confidence=confidence, hop_limit=1)
    return SimpleNamespace(alarm=alarm, heard_ns=0)


def column(value, kind=np.float64):
    found = np.zeros(CLASSES, kind)
    found[CLASS] = value
    return found


def quiet(**change):
    """A node on which nothing happens, changed so."""
    made = with_lane(tick(ONE, demand=0))
    lane = made.lanes[0]
    lane.observed.sample.bytes[:] = 0
    return with_lane(made, marks=replace(lane.marks, trusted=True), **change)


def signs(**change):
    return replace(tick(ONE).lanes[0].signs, **change)


def test_of_several_alarms_the_surest_counts_and_shares_of_balancers_add_up():
    rates = tuple(range(CLASSES))
    shares = {name: Share(1, 1, {"n1": rates, "n2": (9,) * CLASSES}) for name in ("lb1", "lb2")}
    found = hints([heard(0.4), heard(0.9), heard(0.2)], shares, "n1")
    assert found.alarm[CLASS] == 0.9
    assert found.announced_bps.tolist() == [2 * rate for rate in rates]


def test_nobody_told_anything():
    found = hints([], {"lb1": Share(1, 1, {"n2": (9,) * CLASSES})}, "n1")
    assert not found.alarm.any()
    assert not found.announced_bps.any()
    assert not no_hints().alarm.any()


def test_a_quiet_node_alarms_nobody():
    assert list(bursts(quiet())) == []


def test_signs_seen_here_are_told_with_what_is_beyond_the_drain():
    (burst,) = bursts(quiet(signs=signs(syn_growth=column(1.0))))
    assert (burst.traffic_class, burst.onset_in_ms) == (CLASS, 0)
    assert burst.confidence == pytest.approx(0.6)


def test_what_only_a_neighbour_told_is_not_told_on():
    assert list(bursts(quiet(signs=signs(alarm=column(1.0))))) == []


def test_a_forecast_is_told_with_its_onset_if_it_is_trusted():
    hazard, magnitude = np.zeros((CLASSES, 10)), np.zeros((CLASSES, 3))
    hazard[CLASS, 1], magnitude[CLASS] = 0.9, (100, 200, 300)
    expected = checked(0, "model", hazard, magnitude, np.zeros((CLASSES, 4, 3)))
    made = quiet(forecast=expected)
    (burst,) = bursts(made)
    assert (burst.onset_in_ms, burst.magnitude_bytes) == (1500, 200)
    doubted = with_lane(made, marks=replace(made.lanes[0].marks, trusted=False))
    assert list(bursts(doubted)) == []
