"""Imagined queues: nothing is lost or invented, the rate is shared, and only observed interfaces have them."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from sentinel_api.records import CLASSES
from sentinel_core.shadow import RULES, Shadow

ORDERED, REACTIVE, STATIC = range(len(RULES))
AMOUNTS = arrays(np.float64, CLASSES, elements=st.floats(0, 1e7))


def shadow(*shares: float, imagined: bool = True) -> Shadow:
    share = np.zeros(CLASSES)
    share[: len(shares)] = shares
    return Shadow(share, np.full(CLASSES, imagined) & (share > 0))


def limits(ordered: float, reactive: float, static: float):
    rows = (np.full(CLASSES, each) for each in (ordered, reactive, static))
    return SimpleNamespace(**dict(zip(("limit_bytes", "reactive_bytes", "static_bytes"), rows, strict=True)))


def bytes_of(*amounts: float):
    return np.array([*amounts, *[0.0] * (CLASSES - len(amounts))])


def test_what_the_rate_carries_is_never_dropped():
    seen = shadow(1000.0)
    seen.order(limits(0, 0, 0))
    seen.arrive(bytes_of(0), 1.0)
    seen.arrive(bytes_of(1000), 1.0)
    assert not seen.dropped_bytes.any()


def test_each_rule_drops_what_its_own_room_does_not_hold():
    seen = shadow(1000.0)
    seen.order(limits(5000, 2000, 500))
    seen.arrive(bytes_of(0), 1.0)
    seen.arrive(bytes_of(4000), 1.0)
    assert seen.dropped_bytes[:, 0].tolist() == [0, 1000, 2500]
    assert seen.peak_bytes[:, 0].tolist() == [3000, 2000, 500]


def test_what_one_class_leaves_over_goes_to_the_others():
    seen = shadow(500.0, 500.0)
    seen.order(limits(0, 0, 0))
    seen.arrive(bytes_of(0), 1.0)
    seen.arrive(bytes_of(900, 100), 1.0)
    assert not seen.dropped_bytes.any()


def test_an_order_holds_for_what_comes_after_it():
    seen = shadow(1000.0)
    seen.order(limits(0, 0, 0))
    seen.arrive(bytes_of(0), 1.0)
    seen.order(limits(1000, 0, 0))
    seen.arrive(bytes_of(2000), 1.0)
    assert seen.dropped_bytes[:, 0].tolist() == [0, 1000, 1000]


def test_where_queues_are_real_nothing_is_imagined():
    seen = shadow(1000.0, imagined=False)
    seen.order(limits(0, 0, 0))
    seen.arrive(bytes_of(5000), 1.0)
    assert not seen.arrived_bytes.any()
    assert not seen.dropped_bytes.any()


@given(first=AMOUNTS, second=AMOUNTS, rate=AMOUNTS)
def test_what_came_is_served_waits_or_was_dropped(first, second, rate):
    seen = Shadow(rate, rate > 0)
    seen.order(limits(5e5, 2e5, 0))
    for came in (first, second):
        seen.arrive(came, 0.1)
    gone = seen.arrived_bytes.sum() - seen.backlog_bytes.sum(axis=1) - seen.dropped_bytes.sum(axis=1)
    assert (gone >= -1e-3).all(), "more waits and is dropped than came"
    assert (gone <= rate.sum() * 0.2 + 1e-3).all(), "more was served than the rate allows"


@given(came=AMOUNTS, rate=AMOUNTS)
def test_more_room_never_drops_more(came, rate):
    seen = Shadow(rate, rate > 0)
    seen.order(limits(9e5, 4e5, 1e5))
    for _ in range(3):
        seen.arrive(came, 0.1)
    ordered, reactive, static = seen.dropped_bytes.sum(axis=1)
    assert ordered <= reactive + 1e-3
    assert reactive <= static + 1e-3
