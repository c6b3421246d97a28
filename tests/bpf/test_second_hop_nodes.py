"""A flow that only the other candidate knows is found there: what nodes do with two tunnels, and both sides at work."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.data_plane.agent import HOUR_NS, MAY_PROBE, MAY_TUNNEL, XDP_PASS, DataPlane
from support.frames import (
    ACK,
    FIN,
    ICMP,
    MORE_FRAGMENTS,
    RST,
    SYN,
    TCP,
    UDP,
    ethernet,
    icmp,
    ipv4,
    tcp,
    udp,
)
from support.lb_plane import Balancer, Twin, pairs_of
from support.reference_balancer import ReferenceBalancer, Source, Vip, wrap
from support.second_hop import (
    DATA,
    IDLE_S,
    NODE4,
    TAGS,
    VIP4,
    WAYS,
    backend,
    complaint,
    datagram,
    in_doubt,
    opened,
    segment,
)


@pytest.fixture
def node(load_plane) -> DataPlane:
    return opened(load_plane(sn_tunnels_on=1))


def twice(frame, first="IPv4", second="IPv4", vlans=()):
    """As a balancer sends it, Ethernet header and tags not counted."""
    inner, at = frame, 14 + 4 * len(vlans)
    inner = wrap(frame[at:], backend(second, 1), Source(), 4711)
    return ethernet(wrap(inner, backend(first, 0), Source(), 4711), vlans=vlans), ethernet(inner, vlans=vlans)


@pytest.mark.parametrize("first", WAYS)
@pytest.mark.parametrize("second", WAYS)
@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("tags", TAGS)
def test_a_node_keeps_what_it_knows_and_sends_on_what_it_does_not(node, first, second, version, tags):
    vlans = TAGS[tags]
    known, other = (segment(port=port, version=version, vlans=vlans) for port in (40000, 40001))
    node.run(known)
    assert node.run(twice(known, first, second, vlans)[0]) == (XDP_PASS, known)
    sent, left = twice(other, first, second, vlans)
    assert node.run(sent) == (XDP_PASS, left)  # without a neighbour to answer for it: the stack's to forward
    assert node.reasons()["TUNNEL_ONWARD"] == 1
    assert len(node.flows()) == 1, "a flow that goes on is not known here afterwards either"


@pytest.mark.parametrize("kind", [datagram, complaint])
@pytest.mark.parametrize("version", [4, 6])
def test_a_node_keeps_datagrams_and_errors_of_flows_that_it_knows(node, kind, version):
    node.run(segment(SYN, version=version) if kind is complaint else datagram(version=version))
    known, other = (kind(port=port, version=version) for port in (40000, 40001))
    assert node.run(twice(known)[0]) == (XDP_PASS, known)
    sent, left = twice(other)
    assert node.run(sent) == (XDP_PASS, left)


def test_a_datagram_flow_is_known_for_as_long_as_it_may_be_silent(load_plane):
    """With no patience at all, as no test can wait for half a minute, nor make the machine older."""
    plane = opened(load_plane(sn_tunnels_on=1, sn_udp_idle_ns=0))
    plane.run(datagram())
    sent, left = twice(datagram())
    assert plane.run(sent) == (XDP_PASS, left)


@pytest.mark.parametrize("version", [4, 6])
def test_a_connection_that_begins_stays(node, version):
    opening = segment(SYN, version=version)
    assert node.run(twice(opening)[0]) == (XDP_PASS, opening)
    assert node.run(twice(segment(version=version))[0]) == (XDP_PASS, segment(version=version))


@pytest.mark.parametrize("flags", [FIN | ACK, RST])
def test_what_closed_is_known_for_a_minute(node, flags):
    for each in (SYN, ACK, flags):
        node.run(segment(each))
    assert node.run(twice(segment())[0]) == (XDP_PASS, segment())
    ((key, flow),) = node.flows()
    older = flow.copy()
    older["last_ns"] = max(1, int(flow["last_ns"]) - 61 * 10**9)
    if int(flow["last_ns"]) > 61 * 10**9:
        node.object.map("sn_flows").put(key, older)
        assert node.run(twice(segment())[0])[1] == twice(segment())[1]


def test_without_a_flow_table_everything_stays(load_plane):
    plane = opened(load_plane(sn_tunnels_on=1, sn_flows_on=0))
    assert plane.run(twice(segment())[0]) == (XDP_PASS, segment())


@pytest.mark.parametrize(
    "inside",
    [
        pytest.param(ipv4(udp(DATA), protocol=132), id="another protocol"),
        pytest.param(ipv4(icmp(), protocol=ICMP), id="an echo"),
        pytest.param(complaint()[14:60], id="half an error"),
        pytest.param(ipv4(tcp(DATA), protocol=TCP, fragment=185), id="a later fragment"),
        pytest.param(ipv4(tcp(DATA), protocol=TCP)[:30], id="half a header"),
        pytest.param(b"\x45\0", id="two bytes"),
        pytest.param(b"\x75" + bytes(40), id="version 7"),
    ],
)
def test_a_second_tunnel_with_anything_but_a_segment_is_the_stacks(node, inside):
    sent, left = twice(ethernet(inside, kind=0x0800))
    assert node.run(sent) == (XDP_PASS, left)


def test_a_strangers_tunnel_inside_is_the_stacks(load_plane):
    plane = load_plane(sn_tunnels_on=1)
    plane.allow("10.9.0.0/16", MAY_TUNNEL)
    plane.allow("203.0.113.0/24", MAY_PROBE)
    inner = ipv4(segment()[14:], protocol=4, source="203.0.113.9", destination=NODE4.format(2))
    sent = ethernet(wrap(inner, backend("IPv4", 0), Source(), 1))
    assert plane.run(sent) == (XDP_PASS, ethernet(inner))
    assert plane.reasons() == {"NO_ORDER": 1}


def test_a_fragment_of_a_second_tunnel_is_the_stacks(node):
    inner = ipv4(segment()[14:], protocol=4, source="10.9.0.1", destination=NODE4.format(2), fragment=MORE_FRAGMENTS)
    assert node.run(ethernet(wrap(inner, backend("IPv4", 0), Source(), 1))) == (XDP_PASS, ethernet(inner))


NUMBERS, PORTS = st.integers(0, 1), st.integers(40000, 40007)
STEPS = st.one_of(
    st.tuples(st.just("open"), NUMBERS, PORTS),
    st.tuples(st.just("go on"), NUMBERS, PORTS, st.sampled_from(["data", "data", "error"])),
    st.tuples(st.just("go on"), NUMBERS, PORTS, st.sampled_from(["data", "data", "error"])),
    st.tuples(st.just("room"), NUMBERS, st.integers(0, 3)),
    st.tuples(st.just("forget"), NUMBERS),
)


class Site:
    """Two balancers before the same two nodes. A packet goes through them as the network would carry it."""

    def __init__(self, balancers, planes):
        self.balancers = balancers
        self.planes = [opened(plane) for plane in planes]
        for twin in balancers:
            ring = pairs_of(0, 1)
            for number in range(2):
                twin.backend(number, backend("IPv4", number))
            twin.vip(VIP4, 80, TCP, Vip(ring))
            twin.vip(VIP4, 53, UDP, Vip(ring, idle=IDLE_S))
            in_doubt(twin)

    def ends_at(self, balancer, frame):
        """The node whose stack gets the segment."""
        left = self.balancers[balancer].send(frame).frame
        for _ in range(3):
            node = left[33] - 1  # where the outer header says
            action, left = self.planes[node].run(left)
            assert action == XDP_PASS
            if left[23] in (TCP, UDP, ICMP):
                return node
        raise AssertionError("it goes round")


@pytest.fixture(scope="module")
def site(built):
    balancers = [Balancer(sn_opens_per_s=0, sn_ready_age_ns=HOUR_NS) for _ in range(2)]
    planes = [DataPlane("sn_ingress", {"sn_flows": 1024}, sn_tunnels_on=1) for _ in range(2)]
    yield balancers, planes
    for each in (*balancers, *planes):
        each.object.close()


def frame_of(port, part):
    """Connections have even ports, datagrams odd ones."""
    if part == "error":
        return complaint(port=port, protocol=UDP if port % 2 else TCP)
    if port % 2:
        return datagram(port=port)
    return segment(SYN if part == "beginning" else ACK, port=port)


@settings(max_examples=25)
@given(st.lists(STEPS, min_size=8, max_size=40))
def test_whichever_balancer_a_packet_meets_it_ends_where_its_flow_began(site, steps):
    """Whatever room said when it began, and whatever a balancer has forgotten since: TCP always, UDP in times of
    doubt, and errors with them."""
    for each in (*site[0], *site[1]):
        each.forget()
    made = Site([Twin(each, ReferenceBalancer()) for each in site[0]], site[1])
    lives_at = {}
    for kind, number, *what in steps:
        if kind == "open" and what[0] not in lives_at:
            lives_at[what[0]] = made.ends_at(number, frame_of(what[0], "beginning"))
        elif kind == "go on" and what[0] in lives_at:
            assert made.ends_at(number, frame_of(*what)) == lives_at[what[0]]
        elif kind == "room":
            for twin in made.balancers:
                twin.reference.backends[number].rooms = {0: (what[0], twin.reference.now)}
        elif kind == "forget":
            made.balancers[number].reference.conns.clear()
            site[0][number].forget_flows()
