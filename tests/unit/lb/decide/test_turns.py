"""Who takes new flows changes when those who will get them have heard of it and had the time."""

from dataclasses import replace
from types import SimpleNamespace

from sentinel_api.records import CLASSES
from sentinel_api.v1alpha1.balancerconfig import BackendSpec
from sentinel_lb.decide.seats import Seat
from sentinel_lb.decide.states import Standing
from sentinel_lb.decide.turns import LONGEST_NS, TICKS, Turn, Turns, in_force, ticks_of, turns
from sentinel_lb.decide.weights import State

NOW = 10**12
TICK = 100_000_000


def standing(name: str, *, draining: bool = False, state: State = State.READY) -> Standing:
    return Standing(
        seat=Seat(ord(name), 1, BackendSpec(name=name, address="10.0.0.1")),
        state=State.DRAINING if draining else state,
        reason="",
        present=True,
        draining=draining,
        suspected=False,
        mesh_ns=NOW,
        load=0,
        room_ns=NOW,
        room=(0,) * CLASSES,
    )


def drained(found: Turns, *standings: Standing) -> set[str]:
    """By the kernel's book."""
    return {each.seat.spec.name for each in in_force(standings, found) if each.draining}


def test_what_is_found_at_the_start_stands_as_it_is():
    both = standing("a", draining=True), standing("b")
    found = turns(Turns(), both, {"b": 7}, NOW)
    assert not found.pending
    assert drained(found, *both) == {"a"}


def test_a_drain_waits_until_all_who_speak_have_ticked_since():
    before = turns(Turns(), (standing("a"), standing("b"), standing("c")), {"a": 5, "b": 9, "c": 1}, NOW)
    now = standing("a", draining=True), standing("b"), standing("c")
    first = turns(before, now, {"b": 9, "c": 1}, NOW)
    assert drained(first, *now) == set()
    late = turns(first, now, {"b": 9 + TICKS, "c": TICKS}, NOW + 3 * TICK)
    assert drained(late, *now) == set(), "one of them has not had the time"
    assert drained(turns(late, now, {"b": 13, "c": 1 + TICKS}, NOW + 4 * TICK), *now) == {"a"}


def test_people_are_told_what_is_so_and_not_what_is_decided():
    before = turns(Turns(), (standing("a"), standing("b", draining=True), standing("c")), {}, NOW)
    now = standing("a", draining=True), standing("b"), replace(standing("c", draining=True), state=State.DEAD)
    told = turns(before, now, {"b": 1}, NOW)
    assert [each.state for each in in_force(now, told)] == [State.READY, State.DRAINING, State.DEAD]
    silent = (replace(now[0], room_ns=0), *now[1:])
    assert in_force(silent, told)[0].state is State.BUSY


def test_nobody_is_waited_for_who_gets_no_flows_and_nobody_for_ever():
    before = turns(Turns(), (standing("a"), standing("b")), {"a": 5, "b": 9}, NOW)
    now = standing("a", draining=True), standing("b")
    told = turns(before, now, {"b": 9}, NOW)
    assert drained(turns(told, now, {}, NOW + TICK), *now) == {"a"}
    assert drained(turns(told, now, {"b": 1}, NOW + LONGEST_NS - 1), *now) == set(), "it began to count anew"
    assert drained(turns(told, now, {"b": 1}, NOW + LONGEST_NS), *now) == {"a"}


def test_one_that_is_new_gets_flows_when_it_had_the_time_too():
    before = turns(Turns(), (standing("a"),), {"a": 5}, NOW)
    now = standing("a"), standing("b")
    first = turns(before, now, {"a": 6, "b": 1}, NOW)
    assert drained(first, *now) == {"b"}
    assert drained(turns(first, now, {"a": 9, "b": 1 + TICKS}, NOW + 3 * TICK), *now) == set()


def test_one_that_was_never_heard_is_waited_for_from_its_first_word_on():
    """It has counted to five hundred, but nobody knows how much of that since the news."""
    before = turns(Turns(), (standing("a"), standing("b")), {"a": 5, "b": 0}, NOW)
    now = standing("a", draining=True), standing("b")
    told = turns(before, now, {"b": 0}, NOW)
    heard = turns(told, now, {"b": 500}, NOW + TICK)
    assert drained(heard, *now) == set(), "this word may have been under way before"
    assert drained(turns(heard, now, {"b": 499 + TICKS}, NOW + 2 * TICK), *now) == set()
    assert drained(turns(heard, now, {"b": 500 + TICKS}, NOW + 3 * TICK), *now) == {"a"}


def test_two_that_change_places_do_so_in_one_tick():
    before = turns(Turns(), (standing("a"), standing("b", draining=True)), {"a": 5}, NOW)
    now = standing("a", draining=True), standing("b")
    told = turns(before, now, {"b": 2}, NOW)
    assert drained(told, *now) == {"b"}
    assert drained(turns(told, now, {"b": 5}, NOW + 3 * TICK), *now) == {"a"}


def test_a_change_that_is_taken_back_leaves_nothing_to_wait_for():
    before = turns(Turns(), (standing("a"), standing("b")), {"a": 5, "b": 9}, NOW)
    told = turns(before, (standing("a", draining=True), standing("b")), {"b": 9}, NOW)
    assert not turns(told, (standing("a"), standing("b")), {"a": 6, "b": 10}, NOW + TICK).pending


def test_one_that_left_is_forgotten():
    before = turns(Turns(), (standing("a"), standing("b", draining=True)), {"a": 5}, NOW)
    assert turns(before, (standing("a"),), {"a": 6}, NOW) == Turns(frozenset("a"))


def test_all_are_waited_for_who_may_get_flows_heard_or_not():
    members = {name: SimpleNamespace(state=SimpleNamespace(seq=8)) for name in "abcd"} | {
        "e": SimpleNamespace(state=None)
    }
    listed = (
        standing("a"),
        standing("b", state=State.BUSY),
        standing("c", state=State.DEAD),
        standing("d", draining=True),
        standing("e", state=State.BUSY),
        standing("f", state=State.BUSY),
    )
    assert ticks_of(listed, members) == {"a": 8, "b": 8, "e": 0, "f": 0}
    assert Turn(NOW, {"a": 8, "f": 0}).over({"a": 8 + TICKS, "f": TICKS}, NOW)
    assert not Turn(NOW, {"a": 8, "f": 0}).over({"a": 8 + TICKS, "f": 0}, NOW)
