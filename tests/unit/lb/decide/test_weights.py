"""Intended shares: all of the traffic is given out, to those with room, and every share says why."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel_lb.decide.weights import Node, State, route

ROOMS = st.none() | st.dictionaries(st.integers(0, 3), st.integers(0, 10**9))
NODES = st.lists(
    st.builds(Node, st.uuids().map(str), st.sampled_from(State), st.integers(1, 8), st.floats(0, 1), ROOMS, ROOMS),
    max_size=12,
    unique_by=lambda node: node.name,
)

ROUNDING = 1e-12


def ready(name, room, **fields):
    return Node(name, State.READY, headroom={1: room}, **fields)


def shares(*nodes):
    return {name: weight.share for name, weight in route(nodes, [1])[1].items()}


@given(NODES)
def test_every_node_has_a_share_with_a_reason_and_together_they_are_all_or_nothing(nodes):
    for of_class in route(nodes, range(4)).values():
        assert of_class.keys() == {node.name for node in nodes}
        assert all(weight.reason and weight.share >= 0 for weight in of_class.values())
        takers = any(node.state in (State.READY, State.BUSY) for node in nodes)
        assert sum(weight.share for weight in of_class.values()) == pytest.approx(1.0 if takers else 0.0)


@given(NODES)
def test_who_drains_or_is_dead_gets_nothing_new(nodes):
    weights = route(nodes, [1])[1]
    assert all(weights[n.name].share == 0 for n in nodes if n.state in (State.DRAINING, State.DEAD))


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(1, 10**9))
def test_more_room_never_means_less_traffic(room, other, more):
    before, now = (shares(ready("a", each), ready("b", other))["a"] for each in (room, room + more))
    assert now >= before * (1 - ROUNDING)


def test_room_is_what_is_left_of_headroom_after_the_forecast():
    assert shares(ready("a", 300, forecast={1: 200}), ready("b", 300)) == shares(ready("a", 100), ready("b", 300))
    assert shares(ready("a", 100), ready("b", 300)) == pytest.approx({"a": 0.1, "b": 0.9})


def test_with_as_much_room_everywhere_the_share_is_that_of_capacity_as_far_as_two_candidates_allow():
    assert shares(*(ready(name, 5) for name in "abcd")) == pytest.approx(dict.fromkeys("abcd", 0.25))
    assert shares(ready("a", 5, capacity=3), ready("b", 5)) == pytest.approx({"a": 0.75, "b": 0.25})


def test_a_node_that_says_nothing_fresh_gets_what_others_have_no_room_for():
    silent = Node("c", State.BUSY)
    assert shares(ready("a", 1), ready("b", 1), silent) == pytest.approx({"a": 0.5, "b": 0.5, "c": 0.0})
    assert shares(ready("a", 0), silent) == {"a": 0.0, "c": 1.0}
    assert shares(Node("a", State.BUSY), silent) == {"a": 0.5, "c": 0.5}


def test_without_room_anywhere_the_least_loaded_gets_it():
    assert shares(ready("a", 0, load=0.9), ready("b", 0, load=0.5)) == {"a": 0.0, "b": 1.0}
    assert shares(ready("a", 0, load=0.5), ready("b", 0, load=0.5)) == {"a": 0.5, "b": 0.5}


def test_the_dead_are_told_from_the_draining():
    weights = route([Node("a", State.DEAD), Node("b", State.DRAINING)], [1])[1]
    assert weights["a"].reason == "dead"
    assert weights["b"].reason.startswith("drains")
