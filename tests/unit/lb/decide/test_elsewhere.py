"""Nodes of other zones get new flows when their zone takes them: by its sum, and of classes that it has room for."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel_api.records import CLASSES, Digest
from sentinel_api.v1alpha1.balancerconfig import BackendSpec
from sentinel_lb.decide.elsewhere import Elsewhere, choices, roomy
from sentinel_lb.decide.seats import Seat
from sentinel_lb.decide.states import Evidence, standing
from sentinel_lb.decide.weights import State
from sentinel_mesh.membership import Probe

NOW, MS = 10**12, 10**6
EAST, WEST = "zone_east", "zone_west"
NAMES = ("e1", "e2", "w1", "w2")
ZONE_OF = dict(zip(NAMES, (EAST, EAST, WEST, WEST), strict=True))
GOLD, LAST = 1, CLASSES - 1


def seat(number, name):
    return Seat(number, 1, BackendSpec(name=name, address=f"10.0.0.{number + 1}"))


SEATS = tuple(seat(number, name) for number, name in enumerate(NAMES))


def total(room, demand=1_000, nodes=2, **of):
    rooms = [room] * CLASSES
    for class_id, each in of.items():
        rooms[int(class_id.removeprefix("c"))] = each
    return Digest(1, 1, nodes=nodes, fresh_nodes=nodes, demand_now=demand, headroom_bytes=tuple(rooms))


def known(east, west, probes=None, away_ms=(0.2, 0.2, 5.0, 5.0)):
    good = dict.fromkeys(range(4), Probe.GOOD)
    sums = {zone: each for zone, each in ((EAST, east), (WEST, west)) if each is not None}
    round_trips_ns = {number: int(each * MS) for number, each in enumerate(away_ms)}
    return Elsewhere(ZONE_OF, sums, round_trips_ns, good | (probes or {}))


def told(of, chosen=None, before=()):
    """As the balancer of `east` tells its kernel: nobody is heard here, so what is known is known by sums."""
    standings = tuple(standing(each, Evidence(None, of.probes[each.number]), NOW) for each in SEATS)
    chosen = choices(of, standings, (GOLD, LAST), dict(before)) if chosen is None else chosen
    return {each.seat.spec.name: each for each in roomy(of, standings, chosen, EAST, NOW)}, chosen


def test_while_the_near_zone_has_room_others_say_nothing():
    found, chosen = told(known(total(100_000), total(100_000)))
    assert {choice.name for choice in chosen.values()} == {EAST}
    assert [each.room_ns for each in found.values()] == [0] * 4


def test_a_zone_that_takes_over_tells_each_node_its_part_of_the_room():
    found, _ = told(known(total(0), total(100_000)))
    for name in ("w1", "w2"):
        assert (found[name].state, found[name].room[GOLD], found[name].room_ns) == (State.READY, 50_000, NOW)
        assert WEST in found[name].reason
    assert [found[name].room_ns for name in ("e1", "e2")] == [0, 0], "those of this zone speak for themselves"


def test_classes_are_placed_each_for_itself():
    found, chosen = told(known(total(0, c1=100_000), total(100_000)))
    assert (chosen[GOLD].name, chosen[LAST].name) == (EAST, WEST)
    assert (found["w1"].room[GOLD], found["w1"].room[LAST]) == (0, 50_000)


@pytest.mark.parametrize("probe", [Probe.FAILING, Probe.UNKNOWN])
def test_a_node_that_does_not_answer_has_no_part_in_it(probe):
    found, _ = told(known(total(0), total(100_000), {2: probe}))
    assert found["w1"].room_ns == 0
    assert found["w2"].room_ns == NOW


def test_a_zone_of_which_nobody_answers_or_nothing_is_heard_is_not_chosen():
    silent = {2: Probe.FAILING, 3: Probe.FAILING}
    assert told(known(total(0), total(100_000), silent))[1][GOLD].name == EAST
    assert told(known(total(0), None))[1][GOLD].name == EAST
    assert told(known(None, None))[1][GOLD].name == ""


def test_one_that_drains_or_speaks_stays_what_it_is():
    of = known(total(0), total(100_000))
    drains = standing(replace(SEATS[2], drains_since_ns=NOW), Evidence(None, Probe.GOOD), NOW)
    busy = standing(SEATS[3], Evidence(None, Probe.GOOD), NOW)
    speaks = replace(busy, room=(7,) * CLASSES, room_ns=NOW - MS)
    chosen = told(of)[1]
    assert roomy(of, (drains, speaks), chosen, EAST, NOW) == (drains, speaks)


def test_two_zones_alike_do_not_take_turns():
    """Whoever took new flows last goes on."""
    same = known(total(1_000), total(1_000), away_ms=(1.0,) * 4)
    _, first = told(same)
    kept = told(same, before={GOLD: replace(first[GOLD], name=WEST), LAST: first[LAST]}.items())[1]
    assert kept[GOLD].name == WEST


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**9), st.integers(1, 50))
def test_nobody_is_told_more_room_than_its_zone_has(east, west, demand, nodes):
    found, _ = told(known(total(east, demand), total(west, demand, nodes)))
    for class_id in (GOLD, LAST):
        assert sum(found[name].room[class_id] for name in ("w1", "w2")) <= max(west, west * 2 // nodes)
