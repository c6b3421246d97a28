"""When a rule that is not the product's is asked, and of how long a time, whatever its own period."""

from types import SimpleNamespace

import pytest

from sentinel_lab.dataplane import LEASE_NS
from sentinel_lab.loop import BEAT_NS, ThinLoop
from sentinel_lab.scenario import SINGLE

START_NS = 40_030_000_000
LAST_BEFORE_START = 40
CLASSES = (0, *(each.id for each in SINGLE.classes))


class Asked:
    """A rule that keeps what it was shown, and changes nothing."""

    name = "asked"

    def __init__(self, period_s):
        self.period_s = period_s
        self.seen = []

    def limits(self, seen):
        self.seen.append(seen[1])
        return {}


class Plane:
    """A queue to which a hundred bytes come in each beat; counts how often orders were renewed."""

    def __init__(self):
        self.beat, self.renewed = 0, 0
        self.buffer = self

    def arrived(self):
        return [(self.beat, 100 * self.beat, 0)] * len(CLASSES)

    def read(self):
        reading = SimpleNamespace(limit_bytes=1, backlog_bytes=0, sent_bytes=0, drops=0, sojourn=())
        return dict.fromkeys(CLASSES, reading)

    def renew(self, *_):
        self.renewed += 1


def asked_at(policy, beats, plane=None):
    """The beats at which it was asked, of those that took place."""
    loop, plane, found = ThinLoop(None, SINGLE, policy), plane or Plane(), []
    loop.begin(START_NS)
    for plane.beat in beats:
        before = len(policy.seen)
        loop._tick(plane, START_NS - 30_000_000 + (plane.beat - LAST_BEFORE_START) * loop._beat_ns)
        found += [plane.beat] * (len(policy.seen) - before)
    return found


@pytest.mark.parametrize(("period_s", "every"), [(0.01, 1), (0.1, 1), (1.0, 10)])
def test_a_rule_is_asked_once_a_period_and_just_before_the_first_packet(period_s, every):
    found = asked_at(Asked(period_s), range(61))
    assert found == list(range(0, 61, every))
    assert LAST_BEFORE_START in found


def test_orders_are_renewed_often_enough_for_a_rule_that_looks_more_seldom_than_they_last():
    plane = Plane()
    asked_at(Asked(1.0), range(61), plane)
    assert plane.renewed == 61
    assert 2 * BEAT_NS < LEASE_NS


def test_a_seldom_rule_is_told_of_all_that_came_since_its_last_look():
    policy = Asked(1.0)
    asked_at(policy, range(61))
    assert [each.arrived_bytes for each in policy.seen[1:]] == [1_000] * 6


def test_a_look_that_the_machine_slept_through_is_made_up_for():
    assert asked_at(Asked(1.0), [*range(39), *range(43, 61)]) == [0, 10, 20, 30, 43, 50, 60]
