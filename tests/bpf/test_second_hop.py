"""A flow that only the other candidate knows is found there: by frames, byte for byte, through balancers and nodes."""

from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.data_plane.agent import MAY_PROBE, MAY_TUNNEL, XDP_PASS, DataPlane
from support.frames import (
    ACK,
    FIN,
    ICMP,
    MORE_FRAGMENTS,
    RST,
    SERVICE_VLAN,
    SYN,
    TCP,
    UDP,
    VLAN,
    ethernet,
    extension,
    icmp,
    ipv4,
    ipv4_sum_holds,
    ipv6,
    tcp,
    udp,
)
from support.lb_plane import Balancer, Twin, pairs_of
from support.reference_balancer import TX, Backend, ReferenceBalancer, Source, Vip, overhead, wrap

VIP4, VIP6 = "198.51.100.9", "2001:db8:1::9"
CLIENT4, CLIENT6 = "192.0.2.7", "2001:db8::7"
MAC = bytes.fromhex("02aabbccdd01")
OTHER_MAC = bytes.fromhex("02aabbccdd02")
NODE4, NODE6 = "203.0.113.{}", "2001:db8:ff::{}"
DATA: Final = b"some bytes of an application"
WAYS = {"IPv4": (NODE4, "IP"), "IPv6": (NODE6, "IP"), "UDP over IPv4": (NODE4, "UDP"), "UDP over IPv6": (NODE6, "UDP")}
TAGS = {"untagged": (), "VLAN": [(VLAN, 5)], "QinQ": [(SERVICE_VLAN, 5), (VLAN, 6)]}


def segment(flags=ACK, *, port=40000, version=4, data=DATA, vlans=(), **fields):
    if version == 4:
        inside = tcp(data, flags=flags, source_port=port, ends=(CLIENT4, VIP4))
        return ethernet(ipv4(inside, protocol=TCP, destination=VIP4, **fields), vlans=vlans)
    inside = tcp(data, flags=flags, source_port=port, ends=(CLIENT6, VIP6))
    return ethernet(ipv6(inside, protocol=TCP, destination=VIP6, **fields), vlans=vlans)


def datagram(*, port=40000, version=4, data=DATA, vlans=(), **fields):
    inside = udp(data, source_port=port)
    if version == 4:
        return ethernet(ipv4(inside, destination=VIP4, **fields), vlans=vlans)
    return ethernet(ipv6(inside, destination=VIP6, **fields), vlans=vlans)


def complaint(*, port=40000, version=4, protocol=TCP):
    """A router's, about a packet that a node sent to the client in the VIP's name."""
    inside = (tcp if protocol == TCP else udp)(source_port=80 if protocol == TCP else 53, destination_port=port)
    if version == 4:
        sent = ipv4(inside, protocol=protocol, source=VIP4, destination=CLIENT4)
        return ethernet(ipv4(icmp(3, 4, bytes(4) + sent), protocol=ICMP, source="192.0.2.254", destination=VIP4))
    sent = ipv6(inside, protocol=protocol, source=VIP6, destination=CLIENT6)
    message = icmp(2, 0, bytes(4) + sent)
    return ethernet(ipv6(message, protocol=58, source="2001:db8::254", destination=VIP6))


def backend(way, number):
    pattern, encap = WAYS[way]
    return Backend(pattern.format(number + 1), MAC if number == 0 else OTHER_MAC, encap=encap)


@pytest.fixture(scope="module")
def loaded(built):
    balancer = Balancer(sn_opens_per_s=0)
    yield balancer
    balancer.object.close()


def two(loaded, first="IPv4", second="IPv4"):
    """Every flow's candidates are 0 and 1, in this order."""
    loaded.forget()
    twin = Twin(loaded, ReferenceBalancer())
    ring = pairs_of(0)
    ring[:, 1] = 1
    for number, way in enumerate((first, second)):
        twin.backend(number, backend(way, number) if way in WAYS else Backend(NODE4.format(number + 1), MAC, encap=way))
    for address in (VIP4, VIP6):
        twin.vip(address, 80, TCP, Vip(ring))
        for port in (53, 0):
            twin.vip(address, port, UDP, Vip(ring, idle=30.0))
        twin.vip(address, 80, UDP, Vip(ring, idle=30.0, sticky=True))
    return twin


def in_doubt(twin, before=2.0, after=20.0):
    twin.reference.doubt = (twin.reference.now - before, twin.reference.now + after)
    return twin


@pytest.mark.parametrize("first", WAYS)
@pytest.mark.parametrize("second", WAYS)
@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("tags", TAGS)
def test_a_flow_met_in_the_middle_goes_to_the_first_inside_what_the_second_would_get(
    loaded, first, second, version, tags
):
    twin = two(loaded, first, second)
    sent = segment(version=version, vlans=TAGS[tags])
    for reason in ("MIDSTREAM", "UNSURE"):
        told = twin.send(sent)
        assert (told.action, told.backend, told.reason) == (TX, 0, reason)
        nodes = twin.reference.backends
        assert len(told.frame) == len(sent) + overhead(nodes[0]) + overhead(nodes[1])


def test_one_frame_in_full(loaded):
    """Written down, so that reference and kernel cannot err together."""
    twin = two(loaded, "UDP over IPv4", "UDP over IPv4")
    frame = twin.send(segment(ttl=64)).frame
    assert frame[:14] == MAC + bytes.fromhex("020000000002") + b"\x08\x00"
    inner = segment(ttl=63)[14:]
    for at, last, ttl in ((14, 1, 64), (42, 2, 63)):
        rest = len(inner) + (28 if last == 1 else 0)
        assert frame[at : at + 10] == b"\x45\0" + (rest + 28).to_bytes(2, "big") + b"\0\0\x40\0" + bytes([ttl, UDP])
        assert frame[at + 12 : at + 20] == bytes([10, 9, 0, 0, 203, 0, 113, last])
        assert ipv4_sum_holds(frame, at)
        assert frame[at + 22 : at + 28] == b"\x48\x28" + (rest + 8).to_bytes(2, "big") + b"\0\0"
    assert frame[70:] == inner


@pytest.mark.parametrize(("first", "second"), [("L2", "IPv4"), ("IPv4", "L2")])
def test_on_one_segment_without_tunnels_there_is_one_way_only(loaded, first, second):
    twin = two(loaded, first, second)
    assert [twin.send(segment()).reason for _ in range(2)] == ["MIDSTREAM", "KNOWN"]


def test_a_flow_whose_beginning_was_seen_is_never_in_doubt(loaded):
    twin = two(loaded)
    assert [twin.send(segment(flags)).reason for flags in (SYN, ACK, FIN | ACK)] == ["BY_RING", "KNOWN", "KNOWN"]


def test_a_connection_that_begins_under_a_key_in_doubt_ends_the_doubt(loaded):
    twin = two(loaded)
    told = [twin.send(segment(flags)).reason for flags in (ACK, FIN | ACK, SYN, ACK)]
    assert told == ["MIDSTREAM", "UNSURE", "BY_RING", "KNOWN"]


def test_when_the_first_dies_the_flow_is_the_seconds(loaded):
    twin = two(loaded)
    twin.send(segment())
    twin.reference.backends[0].present = False
    told = [twin.send(segment()) for _ in range(2)]
    assert [(each.backend, each.reason) for each in told] == [(1, "MOVED"), (1, "KNOWN")]
    twin.reference.backends[0].present = True
    assert twin.send(segment()).backend == 1


def test_while_the_second_is_dead_nothing_is_sent_by_way_of_it(loaded):
    twin = two(loaded)
    twin.send(segment())
    twin.reference.backends[1].present = False
    told = twin.send(segment())
    assert (told.backend, told.reason) == (0, "KNOWN")
    assert twin.send(segment(port=40001)).reason == "MIDSTREAM"
    twin.reference.backends[1].present = True
    assert twin.send(segment()).reason == "UNSURE"


@pytest.mark.parametrize("first", WAYS)
@pytest.mark.parametrize("second", WAYS)
def test_both_headers_count_when_a_packet_is_too_big(loaded, first, second):
    twin = two(loaded, first, second)
    room = 1500 - 40 - sum(overhead(each) for each in twin.reference.backends.values())
    assert twin.send(segment(data=bytes(room))).reason == "MIDSTREAM"
    assert twin.send(segment(data=bytes(room + 1))).reason == "TOO_BIG"


def test_a_narrow_way_to_the_second_counts(loaded):
    twin = two(loaded)
    twin.backend(1, Backend(NODE4.format(2), OTHER_MAC, mtu=1000))
    assert twin.send(segment(data=bytes(940))).reason == "MIDSTREAM"
    assert twin.send(segment(data=bytes(941))).reason == "TOO_BIG"


def test_the_last_hop_is_the_stacks(loaded):
    assert two(loaded).send(segment(ttl=1)).reason == "LAST_HOP"


def test_what_nodes_cannot_read_goes_one_way(loaded):
    inside = extension(TCP) + tcp(DATA, ends=(CLIENT6, VIP6))
    sent = ethernet(ipv6(inside, protocol=60, destination=VIP6))
    told = two(loaded).send(sent)
    assert (told.reason, len(told.frame)) == ("MIDSTREAM", len(sent) + 20)


# ---- UDP ----


@pytest.mark.parametrize("first", WAYS)
@pytest.mark.parametrize("second", WAYS)
@pytest.mark.parametrize("version", [4, 6])
def test_at_a_time_of_doubt_the_node_that_was_not_chosen_is_asked_first(loaded, first, second, version):
    twin = in_doubt(two(loaded, first, second))
    sent = datagram(version=version)
    for reason in ("BY_RING", "UNSURE", "UNSURE"):
        told = twin.send(sent)
        assert (told.backend, told.reason) == (0, reason)
        assert told.frame[:6] == OTHER_MAC
    twin.reference.backends[1].rooms = {0: (5, twin.reference.now)}
    told = twin.send(datagram(version=version, port=40001))
    assert (told.backend, told.reason, told.frame[:6]) == (1, "BY_ROOM", MAC)


def test_without_doubt_a_datagram_goes_straight_to_the_chosen_node(loaded):
    twin = two(loaded)
    assert [twin.send(datagram()).frame[:6] for _ in range(2)] == [MAC, MAC]
    twin.reference.doubt = (twin.reference.now - 2, twin.reference.now - 1)
    assert twin.send(datagram(port=40001)).frame[:6] == MAC


def test_doubt_reaches_back_to_flows_that_were_met_shortly_before(loaded):
    twin = two(loaded)
    twin.send(datagram())
    twin.pass_time(5.0)
    twin.send(datagram(port=40001))
    twin.pass_time(1.0)
    in_doubt(twin)
    assert [twin.send(datagram(port=port)).reason for port in (40000, 40001)] == ["KNOWN", "UNSURE"]
    twin.pass_time(25.0)
    assert twin.send(datagram(port=40001)).reason == "UNSURE", "for life"


def test_a_flow_that_begins_anew_after_its_idle_time_is_in_doubt_no_more(loaded):
    twin = in_doubt(two(loaded))
    twin.send(datagram())
    twin.pass_time(31.0)
    assert [twin.send(datagram()).reason for _ in range(2)] == ["BY_RING", "KNOWN"]


def test_a_draining_node_is_asked_for_the_flows_it_keeps(loaded):
    twin = in_doubt(two(loaded))
    twin.reference.backends[0].draining = True
    told = twin.send(datagram())
    assert (told.backend, told.reason, told.frame[:6]) == (1, "ONLY_ONE", MAC)


def test_when_either_dies_the_flow_is_the_others(loaded):
    twin = in_doubt(two(loaded))
    for port, dead in ((40000, 0), (40001, 1)):
        twin.send(datagram(port=port))
        twin.reference.backends[dead].present = False
        reasons = [twin.send(datagram(port=port)).reason for _ in range(2)]
        assert reasons == (["MOVED", "KNOWN"] if dead == 0 else ["KNOWN", "KNOWN"])
        twin.reference.backends[dead].present = True
        assert twin.send(datagram(port=port)).reason == ("KNOWN" if dead == 0 else "UNSURE")


@pytest.mark.parametrize("first", WAYS)
@pytest.mark.parametrize("second", WAYS)
def test_a_datagram_too_long_for_both_headers_is_taken_for_new(loaded, first, second):
    twin = in_doubt(two(loaded, first, second))
    room = 1500 - 28 - sum(overhead(each) for each in twin.reference.backends.values())
    assert twin.send(datagram(data=bytes(room))).frame[:6] == OTHER_MAC
    told = twin.send(datagram(data=bytes(room + 1)))
    assert (told.reason, told.frame[:6]) == ("KNOWN", MAC)


@pytest.mark.parametrize(("first", "second"), [("L2", "IPv4"), ("IPv4", "L2"), ("L2", "L2")])
def test_without_tunnels_nobody_else_is_asked(loaded, first, second):
    twin = in_doubt(two(loaded, first, second))
    assert [twin.send(datagram()).frame[:6] for _ in range(2)] == [MAC, MAC]


@pytest.mark.parametrize("fragment", [MORE_FRAGMENTS, 185])
def test_fragments_meet_the_same_node_on_every_balancer_whatever_each_remembers(loaded, fragment):
    """So that none needs a second hop: they go by the ring alone, and room has no say."""
    met = set()
    for room in (0, 9):
        twin = in_doubt(two(loaded))
        twin.reference.backends[1].rooms = {0: (room, twin.reference.now)}
        twin.send(datagram())
        told = twin.send(datagram(fragment=fragment))
        met.add((told.backend, told.reason, told.frame))
    assert [each[:2] for each in met] == [(0, "FRAGMENT")]


def test_a_fragment_of_an_address_that_sticks_follows_it_in_one_header(loaded):
    twin = in_doubt(two(loaded))
    whole = ethernet(ipv4(udp(DATA, destination_port=80), destination=VIP4))
    assert twin.send(whole).frame[:6] == OTHER_MAC
    parted = ethernet(ipv4(udp(DATA, destination_port=80), destination=VIP4, fragment=MORE_FRAGMENTS))
    twin.vip(VIP4, 0, UDP, Vip(twin.reference.vips[VIP4, 80, UDP].pairs, idle=30.0, sticky=True))
    told = twin.send(parted)
    assert (told.reason, told.frame[:6], len(told.frame)) == ("KNOWN", MAC, len(parted) + 20)


# ---- errors about flows ----


@pytest.mark.parametrize("first", WAYS)
@pytest.mark.parametrize("second", WAYS)
@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("protocol", [TCP, UDP])
def test_an_error_about_a_flow_that_is_not_known_may_reach_either(loaded, first, second, version, protocol):
    twin = two(loaded, first, second)
    sent = complaint(version=version, protocol=protocol)
    told = twin.send(sent)
    assert told.reason == "ICMP"
    assert len(told.frame) == len(sent) + sum(overhead(each) for each in twin.reference.backends.values())


@pytest.mark.parametrize("protocol", [TCP, UDP])
def test_an_error_about_a_flow_in_doubt_goes_the_flows_way(loaded, protocol):
    twin = in_doubt(two(loaded))
    twin.send(segment() if protocol == TCP else datagram())
    flows_way = MAC if protocol == TCP else OTHER_MAC
    told = twin.send(complaint(protocol=protocol))
    assert (told.reason, told.frame[:6], len(told.frame)) == ("ICMP", flows_way, len(complaint(protocol=protocol)) + 40)


@pytest.mark.parametrize("protocol", [TCP, UDP])
def test_an_error_about_a_flow_that_is_known_goes_to_its_node_alone(loaded, protocol):
    twin = two(loaded)
    twin.send(segment(SYN) if protocol == TCP else datagram())
    told = twin.send(complaint(protocol=protocol))
    assert (told.reason, told.frame[:6], len(told.frame)) == ("ICMP", MAC, len(complaint(protocol=protocol)) + 20)


def test_an_error_too_long_for_both_headers_goes_to_the_first_alone(loaded):
    twin = two(loaded)
    for number in range(2):
        twin.backend(number, Backend(NODE4.format(number + 1), MAC, mtu=100))
    told = twin.send(complaint())
    assert (told.reason, len(told.frame)) == ("ICMP", len(complaint()) + 20)


# ---- nodes ----


@pytest.fixture
def node(load_plane) -> DataPlane:
    return opened(load_plane(sn_tunnels_on=1))


def opened(plane):
    plane.allow("10.9.0.0/16", MAY_TUNNEL)
    plane.allow("2001:db8:ff::/96", MAY_TUNNEL)
    return plane


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
            twin.vip(VIP4, 53, UDP, Vip(ring, idle=30.0))
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
def site(loaded, built):
    other = Balancer(sn_opens_per_s=0)
    planes = [DataPlane("sn_ingress", {"sn_flows": 1024}, sn_tunnels_on=1) for _ in range(2)]
    yield (loaded, other), planes
    other.object.close()
    for each in planes:
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
