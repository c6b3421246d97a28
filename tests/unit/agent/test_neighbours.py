"""What neighbours and balancers tell becomes hints; what is seen here is told on, and what was only heard is not."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from sentinel_agent.hints import no_hints
from sentinel_agent.neighbours import Listener, announced, bursts
from sentinel_api.records import CLASSES, Alarm, Share
from sentinel_api.v1alpha1.nodeconfig import NodeConfig
from sentinel_core.forecast import checked
from support.ticks import tick, with_lane

ONE = NodeConfig.parse({"trafficClasses": [{"name": "bulk", "match": [{"port": 1}]}]})
CLASS = 1


class FakeMesh:
    """As much of the mesh as a listener asks."""

    def __init__(self, alarms=(), shares=None):
        self.heard, self.told_shares = list(alarms), shares or {}

    def alarms(self):
        return tuple(self.heard)

    def shares(self):
        return self.told_shares


def heard(heard_ns, confidence=1.0, onset_in_ms=0):
    alarm = Alarm("other", CLASS, onset_in_ms, magnitude_bytes=1000, confidence=confidence, hop_limit=1)
    return SimpleNamespace(alarm=alarm, heard_ns=heard_ns)


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


NOWHERE = np.zeros(CLASSES, np.bool_)


def test_what_several_balancers_intend_to_send_here_adds_up():
    rates = tuple(range(CLASSES))
    shares = {name: Share(1, 1, {"n1": rates, "n2": (9,) * CLASSES}) for name in ("lb1", "lb2")}
    assert announced(shares, "n1").tolist() == [2 * rate for rate in rates]
    assert not announced(shares, "n3").any()


def test_an_alarm_is_a_hint_once_and_worth_nothing_after_it_never_helped():
    mesh = FakeMesh()
    listen = Listener(mesh, "n1")
    first = []
    for turn in range(1, 12):
        at_ns = turn * 20 * 10**9
        mesh.heard = [heard(at_ns)]
        first.append(float(listen(NOWHERE, at_ns).alarm[CLASS]))
        listen(NOWHERE, at_ns + 15 * 10**9)
    assert first[0] > 0
    assert first[-1] == 0


def test_without_a_mesh_there_are_no_hints():
    assert not no_hints().alarm.any()
    assert no_hints().word is None


def test_a_burst_that_begins_here_is_told_at_once_and_for_certain():
    (burst,) = bursts(quiet(began=column(True, np.bool_)))
    assert (burst.traffic_class, burst.confidence, burst.onset_in_ms) == (CLASS, 1.0, 0)


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
