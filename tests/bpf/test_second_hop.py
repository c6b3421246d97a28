"""A flow that only the other candidate knows is found there: how a balancer sends it, byte for byte."""

import pytest

from support.data_plane.agent import HOUR_NS
from support.frames import (
    ACK,
    FIN,
    MORE_FRAGMENTS,
    SYN,
    TCP,
    UDP,
    ethernet,
    extension,
    ipv4,
    ipv4_sum_holds,
    ipv6,
    tcp,
    udp,
)
from support.lb_plane import Balancer
from support.reference_balancer import TX, Backend, Vip, overhead
from support.second_hop import (
    CLIENT6,
    DATA,
    IDLE_S,
    MAC,
    NODE4,
    OTHER_MAC,
    TAGS,
    VIP4,
    VIP6,
    WAYS,
    complaint,
    datagram,
    in_doubt,
    segment,
    two,
)


@pytest.fixture(scope="module")
def loaded(built):
    balancer = Balancer(sn_opens_per_s=0, sn_ready_age_ns=HOUR_NS)
    yield balancer
    balancer.object.close()


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
    twin.pass_time(20.0)
    twin.send(datagram(port=40001))
    twin.pass_time(4.0)
    in_doubt(twin)
    assert [twin.send(datagram(port=port)).reason for port in (40000, 40001)] == ["KNOWN", "UNSURE"]
    twin.pass_time(100.0)
    assert twin.send(datagram(port=40001)).reason == "UNSURE", "for life"


def test_a_flow_that_begins_anew_after_its_idle_time_is_in_doubt_no_more(loaded):
    twin = in_doubt(two(loaded))
    twin.send(datagram())
    twin.pass_time(IDLE_S + 4.0)
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
    twin.vip(VIP4, 0, UDP, Vip(twin.reference.vips[VIP4, 80, UDP].pairs, idle=IDLE_S, sticky=True))
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
