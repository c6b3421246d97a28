"""Our own tunnels end in XDP, whatever is in them, and nobody else's do."""

import time

import numpy as np
import pytest

from sentinel_core.rules import Rule, address_range
from support.data_plane.agent import MAY_PROBE, MAY_TUNNEL, XDP_DROP, XDP_PASS
from support.data_plane.corpus import FOUND
from support.frames import (
    IPIP,
    IPV6,
    MORE_FRAGMENTS,
    SERVICE_VLAN,
    UDP,
    VLAN,
    ethernet,
    extension,
    ipv4,
    ipv4_sum_holds,
    ipv6,
    udp,
)

BALANCER4, NODE4 = "203.0.113.1", "203.0.113.2"
BALANCER6, NODE6 = "2001:db8:ff::1", "2001:db8:ff::2"
TUNNEL_PORT = 18472
OWN_MAC = ethernet(b"")[:6]
HOUR = 3600
INNER4 = ipv4(udp(b"inside"))
INNER6 = ipv6(udp(b"inside", ends=("2001:db8::7", "2001:db8:1::9")))


def outer4(inner: bytes, **fields) -> bytes:
    protocol = IPV6 if inner[:1] and inner[0] >> 4 == 6 else IPIP
    return ipv4(inner, **{"protocol": protocol, "source": BALANCER4, "destination": NODE4} | fields)


def outer6(inner: bytes, **fields) -> bytes:
    protocol = IPV6 if inner[:1] and inner[0] >> 4 == 6 else IPIP
    return ipv6(inner, **{"protocol": protocol, "source": BALANCER6, "destination": NODE6} | fields)


def outer_udp4(inner: bytes, **fields) -> bytes:
    datagram = udp(inner, source_port=50123, destination_port=TUNNEL_PORT, ends=None)
    return ipv4(datagram, source=BALANCER4, destination=NODE4, **fields)


def outer_udp6(inner: bytes, **fields) -> bytes:
    datagram = udp(inner, source_port=50123, destination_port=TUNNEL_PORT, ends=(BALANCER6, NODE6))
    return ipv6(datagram, source=BALANCER6, destination=NODE6, **fields)


# A tunnel in a tunnel has an inside of its own (tested below), and tags belong to the outside.
INSIDES = [name for name in FOUND if not {"vlan", "qinq", "tags", "ipip", "ip6ip6"} & set(name.split())]
OUTERS = [outer4, outer6, outer_udp4, outer_udp6]


@pytest.fixture
def node(load_plane):
    plane = load_plane(sn_tunnels_on=1)
    plane.allow("203.0.113.0/24", MAY_TUNNEL)
    plane.allow(f"{BALANCER6}/128", MAY_TUNNEL)
    return plane


@pytest.mark.parametrize("outer", OUTERS)
@pytest.mark.parametrize("inner", [INNER4, INNER6], ids=["IPv4 inside", "IPv6 inside"])
@pytest.mark.parametrize("vlans", [(), [(VLAN, 5)], [(SERVICE_VLAN, 5), (VLAN, 6)]], ids=["untagged", "VLAN", "QinQ"])
def test_the_outer_header_comes_off(node, outer, inner, vlans):
    assert node.run(ethernet(outer(inner), vlans=vlans)) == (XDP_PASS, ethernet(inner, vlans=vlans))
    assert node.reasons() == {"NO_ORDER": 1}
    assert node.cell()["bytes"] == len(ethernet(inner, vlans=vlans))


@pytest.mark.parametrize(
    "outer",
    [
        pytest.param(outer4(INNER4, options=b"\1\1\1\1" * 10), id="IPv4 options"),
        pytest.param(outer6(extension(IPIP) + INNER4, protocol=60), id="destination options (a tunnel limit)"),
        pytest.param(outer_udp6(INNER6, flow_label=77), id="UDP over IPv6"),
    ],
)
def test_an_outer_header_may_be_long(node, outer):
    inner = INNER6 if outer.endswith(INNER6) else INNER4
    assert node.run(ethernet(outer)) == (XDP_PASS, ethernet(inner))


@pytest.mark.parametrize("name", INSIDES)
def test_whatever_was_understood_outside_is_understood_inside(node, name):
    inner = FOUND[name][14:]
    assert node.run(ethernet(outer4(inner))) == (XDP_PASS, FOUND[name])
    assert node.cell()["packets"] == 1


def test_only_one_tunnel_comes_off(node):
    """What a balancer wrapped once is unwrapped once; the rest is the stack's."""
    sent = ethernet(outer4(outer4(INNER4)))
    assert node.run(sent) == (XDP_PASS, ethernet(outer4(INNER4)))


def test_class_and_flow_are_those_of_the_inside(node):
    node.rules.replace([Rule(1, source=address_range("203.0.113.0/24")), Rule(2, source=address_range("192.0.2.0/24"))])
    node.run(ethernet(outer_udp4(INNER4)))
    assert node.cell(2)["packets"] == 1
    ((key, _),) = node.flows()
    assert int(key["source_port"]) == 40000


def learned(node, mac, *, seconds_ago=0):
    own = node.object.map("sn_own").view(writable=True)
    own["mac"][0] = np.frombuffer(mac + bytes(2), np.uint64)[0]
    own["heard_ns"][0] = time.monotonic_ns() - seconds_ago * 10**9
    return node


@pytest.mark.parametrize("outer", OUTERS)
def test_a_neighbours_tunnel_does_not_end_here(node, outer):
    """A switch floods the frames of a node that died; a card that listens to everything brings them."""
    learned(node, OWN_MAC, seconds_ago=-HOUR)  # news of another CPU may be ahead of a packet
    sent = ethernet(outer(INNER4))
    assert node.run(sent) == (XDP_PASS, ethernet(INNER4))
    for mac in (OWN_MAC[:5] + b"\x77", b"\x06" + OWN_MAC[1:], bytes([255] * 6)):
        assert node.run(mac + sent[6:]) == (XDP_PASS, mac + sent[6:])
    assert node.reasons() == {"NO_ORDER": 1, "TUNNEL_ELSEWHERE": 3}


@pytest.mark.parametrize(("mac", "seconds_ago"), [(OWN_MAC, 2), (bytes(6), 0)], ids=["old news", "no news"])
def test_where_nobody_probes_every_tunnel_is_ours(node, mac, seconds_ago):
    learned(node, mac, seconds_ago=seconds_ago)
    sent = b"\x06" + ethernet(outer4(INNER4))[1:]
    assert node.run(sent) == (XDP_PASS, sent[:14] + INNER4)


@pytest.mark.parametrize("outer", OUTERS)
def test_a_stranger_opens_no_tunnel(load_plane, outer):
    plane = load_plane(sn_tunnels_on=1)
    plane.allow("203.0.113.0/24", MAY_PROBE)
    plane.allow(f"{BALANCER6}/128", MAY_PROBE)
    sent = ethernet(outer(INNER4))
    assert plane.run(sent) == (XDP_PASS, sent)
    assert plane.reasons() == {"TUNNEL_FOREIGN": 1}


@pytest.mark.parametrize("outer", OUTERS)
def test_a_strangers_tunnel_is_traffic_like_any_other(load_plane, outer):
    """Or it would pass uncounted and by every order."""
    plane = load_plane(sn_tunnels_on=1)
    plane.rules.replace([Rule(4)])
    sent = ethernet(outer(INNER4))
    assert plane.run(sent) == (XDP_PASS, sent)
    assert (plane.cell(4)["packets"], plane.cell(4)["bytes"], len(plane.flows())) == (1, len(sent), 1)
    assert plane.meta(sent)[4:] == (4).to_bytes(4, "little")
    plane.always(4)
    assert plane.run(sent) == (XDP_DROP, sent)
    assert (plane.cell(4)["packets"], plane.cell(4)["drops"]) == (3, 1)
    plane.order(4, lease_ns=-1)
    assert plane.run(sent) == (XDP_PASS, sent)
    assert plane.cell(4)["lease_over"] == 1
    assert plane.reasons() == {"TUNNEL_FOREIGN": 3, "EARLY_DROP": 1}


@pytest.mark.parametrize("outer", OUTERS)
def test_tunnels_stay_closed_unless_they_are_switched_on(load_plane, outer):
    plane = load_plane()
    plane.allow("203.0.113.0/24", MAY_TUNNEL)
    sent = ethernet(outer(INNER4))
    assert plane.run(sent) == (XDP_PASS, sent)


@pytest.mark.parametrize(
    "inside",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x45", id="one byte"),
        pytest.param(b"\x15" + INNER4[1:], id="version 1"),
        pytest.param(INNER4[:-1], id="one byte short"),
        pytest.param(INNER6[:-1], id="IPv6, one byte short"),
        pytest.param(INNER4[:20], id="a header only"),
    ],
)
@pytest.mark.parametrize("outer", OUTERS)
def test_nonsense_in_a_tunnel_of_ours_is_dropped(node, outer, inside):
    assert node.run(ethernet(outer(inside)))[0] == XDP_DROP
    assert node.reasons() == {"TUNNEL_MALFORMED": 1}


def test_a_fragment_of_a_tunnel_is_left_to_the_stack(node):
    sent = ethernet(outer4(INNER4, fragment=MORE_FRAGMENTS))
    assert node.run(sent) == (XDP_PASS, sent)


def test_another_udp_port_is_no_tunnel(node):
    sent = ethernet(ipv4(udp(INNER4, destination_port=TUNNEL_PORT + 1), source=BALANCER4))
    assert node.run(sent) == (XDP_PASS, sent)


@pytest.mark.parametrize("outer", OUTERS)
@pytest.mark.parametrize("inner_tos", [1, 2, 3])
def test_a_mark_outside_goes_inside(node, outer, inner_tos):
    marked = {"traffic_class": 3} if outer in (outer6, outer_udp6) else {"tos": 3}
    inner, wanted = (ipv4(udp(b"x"), tos=tos, protocol=UDP) for tos in (inner_tos, 3))
    assert node.run(ethernet(outer(inner, **marked))) == (XDP_PASS, ethernet(wanted))
    assert ipv4_sum_holds(ethernet(wanted))


def test_a_mark_that_the_inside_cannot_carry_is_a_drop(node):
    assert node.run(ethernet(outer4(INNER4, tos=3)))[0] == XDP_DROP
    assert node.reasons() == {"TUNNEL_CONGESTED": 1}
