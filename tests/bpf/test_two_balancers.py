"""What two balancers that share nothing make of the same flow: a router may give it to either, and tell nobody."""

from collections import Counter

import pytest

from support.frames import SYN
from support.lb_plane import Balancer
from support.second_hop import datagram, segment, two

FLOWS = range(40000, 40030)
ROOM = 1_000_000
HOUR_NS = 3600 * 10**9


@pytest.fixture(scope="module")
def both(built):
    """A router's two ways. Nobody came or went, so that neither expects a flow of the other. News stay fresh, however
    long the machine takes."""
    balancers = [Balancer(sn_opens_per_s=0, sn_ready_age_ns=HOUR_NS) for _ in range(2)]
    yield balancers
    for each in balancers:
        each.object.close()


def hear(twin, first, second):
    """Fresh news of the rooms of all flows' two candidates."""
    for number, room in enumerate((first, second)):
        twin.reference.backends[number].rooms[0] = (room, twin.reference.now)


@pytest.fixture
def twins(both):
    found = [two(each) for each in both]
    for each in found:
        hear(each, ROOM // 2, ROOM)
    return found


def nodes(twin, frame_of):
    return {port: twin.send(frame_of(port)).backend for port in FLOWS}


@pytest.mark.parametrize("frame_of", [lambda port: segment(SYN, port=port), lambda port: datagram(port=port)])
def test_balancers_that_hear_the_same_draw_the_same(twins, frame_of):
    one, other = (nodes(each, frame_of) for each in twins)
    assert one == other
    assert set(one.values()) == {0, 1}, "flows are drawn, not all given to one"


def test_datagrams_of_a_flow_that_is_moved_unseen_stay_while_rooms_are_as_they_were(twins):
    one, other = twins
    began = nodes(one, lambda port: datagram(port=port))
    assert nodes(other, lambda port: datagram(port=port)) == began


def test_those_that_are_drawn_otherwise_by_newer_news_are_lost_to_their_node_and_no_others(twins):
    one, other = twins
    began = nodes(one, lambda port: datagram(port=port))
    hear(other, ROOM, ROOM)  # nobody leaves the ring's first candidate any more
    moved = nodes(other, lambda port: datagram(port=port))
    assert set(moved.values()) == {0}
    assert Counter(began.values())[1] == sum(began[port] != moved[port] for port in FLOWS) > 0
    assert nodes(one, lambda port: datagram(port=port)) == began, "back again they are known"


def test_connections_are_found_whatever_the_news_are(twins):
    one, other = twins
    nodes(one, lambda port: segment(SYN, port=port))
    hear(other, ROOM, ROOM)
    assert {other.send(segment(port=port)).reason for port in FLOWS} == {"MIDSTREAM"}, "both nodes are asked"
