"""What each class will bring: smoothed, and with the bursts that nodes see coming."""

from dataclasses import dataclass

import pytest

from sentinel_api.records import CLASSES, ClassState, NodeState, Role, Tier
from sentinel_lb.decide.intent import intended
from sentinel_lb.predict import SMOOTHING, expected, smoothed


@dataclass(frozen=True)
class Member:
    state: NodeState | None


def foreseeing(class_id, **said):
    classes = tuple(ClassState(**said) if n == class_id else ClassState() for n in range(CLASSES))
    return Member(NodeState(1, 1, Tier.B, Role.BUFFER, classes=classes))


def test_a_new_class_begins_with_what_it_brings_and_an_old_one_fades():
    once = smoothed({}, {1: 1000.0})
    assert once == {1: 1000.0}
    assert smoothed(once, {}) == {1: pytest.approx(1000.0 * (1 - SMOOTHING))}


def test_a_burst_that_is_near_is_expected_by_its_probability():
    members = [foreseeing(1, burst_probability=0.5, burst_in_s=0.5, burst_p50_bytes=10_000), Member(None)]
    assert expected({1: 1000.0}, members) == {1: 6000.0}


def test_a_burst_that_is_far_is_not_placed_yet():
    assert expected({}, [foreseeing(1, burst_probability=1.0, burst_in_s=5.0, burst_p50_bytes=10_000)]) == {}


def test_what_is_intended_adds_up_to_what_is_expected():
    found = intended(["a", "b"], {1: {"a": 0.75, "b": 0.25}}, {1: 1000.0})
    assert (found["a"][1], found["b"][1]) == (750, 250)
    assert sum(found["a"]) == 750
