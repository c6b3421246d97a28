"""Frames of flows that may live at either of two nodes, and a balancer that knows both."""

from typing import Final

from support.data_plane.agent import MAY_TUNNEL
from support.frames import (
    ACK,
    ICMP,
    SERVICE_VLAN,
    TCP,
    UDP,
    VLAN,
    ethernet,
    icmp,
    ipv4,
    ipv6,
    tcp,
    udp,
)
from support.lb_plane import Twin, pairs_of
from support.reference_balancer import Backend, ReferenceBalancer, Vip

VIP4, VIP6 = "198.51.100.9", "2001:db8:1::9"
CLIENT4, CLIENT6 = "192.0.2.7", "2001:db8::7"
MAC = bytes.fromhex("02aabbccdd01")
OTHER_MAC = bytes.fromhex("02aabbccdd02")
NODE4, NODE6 = "203.0.113.{}", "2001:db8:ff::{}"
DATA: Final = b"some bytes of an application"
IDLE_S: Final = 120.0
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
            twin.vip(address, port, UDP, Vip(ring, idle=IDLE_S))
        twin.vip(address, 80, UDP, Vip(ring, idle=IDLE_S, sticky=True))
    return twin


def in_doubt(twin, before=8.0, after=80.0):
    """So long before now that what real time goes by in a test does not matter."""
    twin.reference.doubt = (twin.reference.now - before, twin.reference.now + after)
    return twin


def opened(plane):
    plane.allow("10.9.0.0/16", MAY_TUNNEL)
    plane.allow("2001:db8:ff::/96", MAY_TUNNEL)
    return plane
