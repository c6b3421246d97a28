"""Every kind of packet on every kind of way, byte for byte against frames and sums built from scratch."""

import pytest

from sentinel_bpf import testrun
from support.frames import (
    ACK,
    FIN,
    ICMP,
    ICMPV6,
    MORE_FRAGMENTS,
    RST,
    SERVICE_VLAN,
    SYN,
    TCP,
    UDP,
    VLAN,
    checksum,
    ethernet,
    extension,
    fragment6,
    icmp,
    ipv4,
    ipv4_sum_holds,
    ipv6,
    pseudo_header,
    syn_options,
    tcp,
    timestamps,
    udp,
)
from support.lb_plane import Balancer, Twin, pairs_of
from support.reference_balancer import DROP, PASS, QUOTED, TX, Backend, ReferenceBalancer, Vip

VIP4, VIP6 = "198.51.100.9", "2001:db8:1::9"
CLIENT4, CLIENT6 = "192.0.2.7", "2001:db8::7"
ENDS6 = (CLIENT6, VIP6)
MAC = bytes.fromhex("02aabbccdd01")
DATA = b"some bytes of an application"


def tcp4(**fields):
    return ipv4(tcp(DATA, **fields), protocol=TCP)


def tcp6(**fields):
    return ipv6(tcp(DATA, ends=ENDS6, **fields), protocol=TCP)


def icmp6(kind, code, body):
    raw = bytes([kind, code, 0, 0]) + body
    total = checksum(pseudo_header(*ENDS6, ICMPV6, len(raw)) + raw)
    return ipv6(raw[:2] + total.to_bytes(2, "big") + raw[4:], protocol=ICMPV6)


SENT4 = ipv4(tcp(DATA, source_port=80, destination_port=40000), protocol=TCP, source=VIP4, destination=CLIENT4)
SENT6 = ipv6(udp(DATA, source_port=53, destination_port=40000), source=VIP6, destination=CLIENT6)

INSIDES = {
    "SYN": tcp4(flags=SYN, options=syn_options(7)),
    "ACK": tcp4(flags=ACK),
    "FIN": tcp4(flags=FIN | ACK),
    "RST": tcp4(flags=RST),
    "TCP with timestamps": tcp4(options=timestamps(1, 2)),
    "UDP": ipv4(udp(DATA)),
    "UDP without a sum": ipv4(udp(DATA, ends=None)),
    "UDP, odd length": ipv4(udp(b"odd")),
    "empty UDP": ipv4(udp()),
    "IPv4 options": ipv4(udp(DATA), options=b"\1\1\1\1" * 3),
    "DSCP and ECT": ipv4(udp(DATA), tos=46 << 2 | 2),
    "CE": ipv4(udp(DATA), tos=3),
    "two hops left": ipv4(udp(DATA), ttl=2),
    "all hops left": ipv4(udp(DATA), ttl=255),
    "may be fragmented": ipv4(udp(DATA), fragment=0),
    "first fragment": ipv4(udp(DATA), fragment=MORE_FRAGMENTS),
    "last fragment": ipv4(DATA, fragment=185),
    "padded to the minimal frame": ipv4(udp()) + bytes(18),
    "ICMP unreachable": ipv4(icmp(3, 4, bytes(4) + SENT4[:28]), protocol=ICMP),
    "ICMP time exceeded": ipv4(icmp(11, 0, bytes(4) + SENT4), protocol=ICMP),
    "SYN6": tcp6(flags=SYN, options=syn_options(7)),
    "ACK6": tcp6(flags=ACK),
    "UDP6": ipv6(udp(DATA, ends=ENDS6)),
    "UDP6 DSCP and ECT": ipv6(udp(DATA, ends=ENDS6), traffic_class=46 << 2 | 1),
    "UDP6 behind destination options": ipv6(extension(UDP) + udp(DATA, ends=ENDS6), protocol=60),
    "two hops left, IPv6": ipv6(udp(DATA, ends=ENDS6), hops=2),
    "first fragment, IPv6": ipv6(fragment6(UDP, 0, more=True) + udp(DATA, ends=ENDS6), protocol=44),
    "last fragment, IPv6": ipv6(fragment6(UDP, 185, more=False) + DATA, protocol=44),
    "ICMPv6 too big": icmp6(2, 0, bytes(4) + SENT6),
    "ICMPv6 unreachable": icmp6(1, 4, bytes(4) + SENT6[:44]),
}
WAYS = {
    "IPv4": Backend("203.0.113.2", MAC),
    "IPv6": Backend("2001:db8:ff::2", MAC),
    "UDP over IPv4": Backend("203.0.113.2", MAC, encap="UDP"),
    "UDP over IPv6": Backend("2001:db8:ff::2", MAC, encap="UDP"),
    "the segment": Backend("203.0.113.2", MAC, encap="L2"),
}
SERVED = [(address, port, protocol) for address in (VIP4, VIP6) for port, protocol in ((80, TCP), (53, UDP), (0, UDP))]


@pytest.fixture(scope="module")
def loaded(built):
    balancer = Balancer(sn_opens_per_s=0)
    yield balancer
    balancer.object.close()


@pytest.fixture
def twin(loaded):
    loaded.forget()
    return Twin(loaded, ReferenceBalancer())


def serve(twin, *backends, vips=SERVED):
    for number, backend in enumerate(backends):
        twin.backend(number, Backend(**{**vars(backend), "rooms": {}}))
    pairs = pairs_of(*range(len(backends)))
    for key in vips:
        twin.vip(*key, Vip(pairs))
    return twin


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("inside", INSIDES)
def test_a_packet_arrives_whole_with_one_hop_less(twin, way, inside):
    serve(twin, WAYS[way])
    verdict = twin.send(ethernet(INSIDES[inside]))
    assert verdict.action == TX
    assert verdict.frame[:12] == MAC + ethernet(b"")[:6]
    assert twin.kernel.cell("by_node", 0)["packets"] == 1


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("vlans", [[(VLAN, 0x6005)], [(SERVICE_VLAN, 100), (VLAN, 0x2064)]], ids=["VLAN", "QinQ"])
@pytest.mark.parametrize("inside", ["SYN", "UDP6"])
def test_tags_stay_outside(twin, way, vlans, inside):
    serve(twin, WAYS[way])
    sent = ethernet(INSIDES[inside], vlans=vlans)
    assert twin.send(sent).frame[12 : 12 + 4 * len(vlans)] == sent[12 : 12 + 4 * len(vlans)]


def test_one_frame_in_full():
    """Written down, so that reference and kernel cannot err together."""
    balancer = Balancer(sn_opens_per_s=0)
    twin = serve(Twin(balancer, ReferenceBalancer()), Backend("203.0.113.2", MAC, encap="UDP"))
    inner = ipv4(udp(b"hi"), ttl=63)
    ran = twin.send(ethernet(ipv4(udp(b"hi"), ttl=64))).frame
    balancer.object.close()
    assert ran[:14] == MAC + bytes.fromhex("020000000002") + b"\x08\x00"
    assert ran[14:24].hex() == "4500003a000040004011"
    assert ipv4_sum_holds(ran)
    assert ran[26:34] == bytes([10, 9, 0, 0, 203, 0, 113, 2])
    assert ran[34] >= 0xC0
    assert ran[36:42].hex() == "482800260000"
    assert ran[42:] == inner


@pytest.mark.parametrize("way", ["IPv4", "IPv6"])
def test_the_outer_source_follows_the_flow(twin, way):
    serve(twin, WAYS[way])
    place = slice(26, 30) if way == "IPv4" else slice(22, 38)
    outer = [twin.send(ethernet(ipv4(udp(DATA, source_port=port)))).frame[place] for port in range(1000, 1032)]
    again = [twin.send(ethernet(ipv4(udp(b"x", source_port=port)))).frame[place] for port in range(1000, 1032)]
    assert outer == again
    assert len(set(outer)) > 28


@pytest.mark.parametrize(
    "inside", [ipv4(udp(DATA), ttl=1), ipv4(udp(DATA), ttl=0), ipv6(udp(DATA, ends=ENDS6), hops=1)]
)
def test_the_last_hop_is_the_stacks(twin, inside):
    serve(twin, WAYS["IPv4"])
    assert twin.send(ethernet(inside)).reason == "LAST_HOP"


BIG = bytes(range(256)) * 6


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("vlans", [(), [(VLAN, 5)]], ids=["untagged", "VLAN"])
@pytest.mark.parametrize("version", [4, 6])
def test_what_just_fits_is_sent_and_a_byte_more_is_answered(twin, way, vlans, version):
    serve(twin, WAYS[way])
    extra = {"IPv4": 20, "IPv6": 40, "UDP over IPv4": 28, "UDP over IPv6": 48, "the segment": 0}[way]
    headers = 28 if version == 4 else 48
    room = 1500 - extra - headers

    def packet(size):
        datagram = udp(BIG[:size], ends=(CLIENT4, VIP4) if version == 4 else ENDS6)
        return ethernet(ipv4(datagram) if version == 4 else ipv6(datagram), vlans=vlans)

    assert twin.send(packet(room)).reason == "BY_RING"
    told = twin.send(packet(room + 1))
    assert (told.action, told.reason) == (TX, "TOO_BIG")
    assert told.frame.endswith(packet(room + 1)[14 + 4 * len(vlans) :][:QUOTED])
    assert twin.kernel.cell("by_vip", 1 if version == 4 else 4)["refused"] == 1


def test_an_error_that_does_not_fit_is_never_answered_with_another(twin):
    serve(twin, WAYS["IPv4"])
    quoted = ipv4(udp(BIG[:1440], source_port=53, destination_port=40000), source=VIP4, destination=CLIENT4)
    assert twin.send(ethernet(ipv4(icmp(3, 1, bytes(4) + quoted), protocol=ICMP))).reason == "TOO_BIG_LOST"


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(ethernet(ipv4(udp(DATA, destination_port=54))), id="another port"),
        pytest.param(ethernet(ipv4(tcp(DATA, destination_port=53), protocol=TCP)), id="another protocol"),
        pytest.param(ethernet(ipv4(udp(DATA), destination="198.51.100.10")), id="another address"),
        pytest.param(ethernet(ipv4(icmp(8), protocol=ICMP)), id="ping"),
        pytest.param(ethernet(ipv4(icmp(3, 1, bytes(4)), protocol=ICMP)), id="an error about nothing"),
        pytest.param(ethernet(ipv4(icmp(3, 1, bytes(4) + SENT4[:20]), protocol=ICMP)), id="an error without ports"),
        pytest.param(ethernet(ipv4(icmp(5, 1, bytes(4) + SENT4), protocol=ICMP)), id="a redirect"),
        pytest.param(
            ethernet(ipv4(icmp(3, 1, bytes(4) + SENT4), protocol=ICMP, destination="198.51.100.10")),
            id="an error about somebody else's flow",
        ),
        pytest.param(ethernet(ipv4(DATA, protocol=TCP, fragment=185)), id="fragments of a VIP that takes none"),
        pytest.param(ethernet(b"\0" * 28, kind=0x0806), id="ARP"),
        pytest.param(ethernet(ipv4(udp(DATA), total=19)), id="malformed"),
        pytest.param(ethernet(ipv6(udp(DATA, ends=ENDS6), destination="2001:db8:1::a")), id="another IPv6 address"),
    ],
)
def test_what_is_for_no_vip_is_left_alone(twin, frame):
    serve(twin, WAYS["IPv4"])
    assert twin.send(frame).action == PASS


OURS = ethernet(b"")[:6]
OTHERS = {
    "a neighbour's, a bit away": OURS[:5] + bytes([OURS[5] ^ 1]),
    "a neighbour's, of another maker": bytes([OURS[0] ^ 4]) + OURS[1:],
    "nobody's": bytes(6),
    "everybody's": bytes([255] * 6),
    "a group's": bytes.fromhex("333300000009"),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("inside", ["SYN", "UDP6", "last fragment", "ICMP unreachable"])
def test_frames_for_our_hardware_address_are_balanced(twin, way, inside):
    serve(twin, WAYS[way]).own(OURS)
    assert twin.send(ethernet(INSIDES[inside], vlans=[(VLAN, 5)])).action == TX


@pytest.mark.parametrize("address", OTHERS)
@pytest.mark.parametrize("inside", ["SYN", "ACK", "UDP6", "last fragment", "ICMP unreachable"])
def test_frames_for_another_hardware_address_are_left_alone(twin, address, inside):
    """A switch floods them, a card that listens to everything brings them: each balancer would send a copy."""
    serve(twin, WAYS["IPv4"]).own(OURS)
    sent = OTHERS[address] + ethernet(INSIDES[inside])[6:]
    assert twin.send(sent).reason == "OTHER_HOST"
    assert (twin.kernel.remembered(), twin.kernel.cell("by_node", 0)["packets"]) == (0, 0)


@pytest.mark.parametrize("address", ["everybody's", "a group's"])
def test_frames_for_several_are_left_alone_before_our_own_address_is_known(twin, address):
    serve(twin, WAYS["IPv4"])
    assert twin.send(OTHERS[address] + ethernet(INSIDES["SYN"])[6:]).reason == "OTHER_HOST"
    assert twin.send(OTHERS["nobody's"] + ethernet(INSIDES["SYN"])[6:]).action == TX


def test_our_hardware_address_may_change(twin):
    serve(twin, WAYS["IPv4"]).own(OURS)
    other = OTHERS["a neighbour's, a bit away"]
    assert twin.send(ethernet(INSIDES["SYN"])).action == TX
    twin.own(other)
    assert twin.send(ethernet(INSIDES["ACK"])).reason == "OTHER_HOST"
    assert twin.send(other + ethernet(INSIDES["ACK"])[6:]).reason == "KNOWN"


def test_a_backend_without_an_address_is_no_way(twin):
    serve(twin, WAYS["IPv4"])
    twin.kernel.views["backends"]["encap"][0] = 0
    twin.tell()
    assert testrun.run(twin.kernel.program, ethernet(INSIDES["UDP"])).action == DROP
    assert twin.kernel.reasons() == {"NO_WAY": 1}
