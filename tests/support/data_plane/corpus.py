"""Frames of every shape that the parser knows, each with a name, and with the reason if it is no packet of ours."""

from typing import Final

from support.frames import (
    ACK,
    AUTHENTICATION,
    CLIENT6,
    DESTINATION,
    ETH_ARP,
    FIN,
    FRAGMENT,
    HOP_BY_HOP,
    ICMP,
    ICMPV6,
    IPIP,
    IPV6,
    MORE_FRAGMENTS,
    PSH,
    ROUTING,
    RST,
    SERVER6,
    SERVICE_VLAN,
    SYN,
    TCP,
    UDP,
    VLAN,
    authentication,
    ethernet,
    extension,
    fragment6,
    icmp,
    ipv4,
    ipv6,
    syn_options,
    tcp,
    timestamps,
    udp,
)

ENDS6 = (CLIENT6, SERVER6)
DATA = b"some bytes of an application"
NOPS = b"\1\1\1\1"
U4, T4 = udp(DATA), tcp(DATA)
U6, T6 = udp(DATA, ends=ENDS6), tcp(DATA, ends=ENDS6)
TOO_LONG = b"\x11\x09" + bytes(6)
STAMPED6 = tcp(options=timestamps(1, 1), ends=ENDS6)
ONE_TAG = [(VLAN, 0x6005)]
TWO_TAGS = [(SERVICE_VLAN, 100), (VLAN, 0x2064)]


def chain(*kinds: int, last: int = UDP, payload: bytes = U6) -> bytes:
    """An IPv6 packet with these extension headers."""
    body = payload
    for kind, following in reversed(list(zip(kinds, (*kinds[1:], last), strict=True))):
        body = (authentication(following) if kind == AUTHENTICATION else extension(following)) + body
    return ipv6(body, protocol=kinds[0])


FOUND: Final[dict[str, bytes]] = {
    "udp4": ethernet(ipv4(U4)),
    "udp4 without checksum": ethernet(ipv4(udp(DATA, ends=None))),
    "udp4 empty": ethernet(ipv4(udp())),
    "udp4 padded to the minimal frame": ethernet(ipv4(udp()) + bytes(18)),
    "udp4 shorter than its IP packet": ethernet(ipv4(udp(DATA, length=12))),
    "udp4 dscp ef": ethernet(ipv4(U4, tos=46 << 2)),
    "udp4 ect0": ethernet(ipv4(U4, tos=2)),
    "udp4 ect1": ethernet(ipv4(U4, tos=1)),
    "udp4 ce": ethernet(ipv4(U4, tos=3)),
    "udp4 one option word": ethernet(ipv4(U4, options=NOPS)),
    "udp4 all options": ethernet(ipv4(U4, options=NOPS * 10)),
    "udp4 may be fragmented": ethernet(ipv4(U4, fragment=0)),
    "udp4 reserved flag": ethernet(ipv4(U4, fragment=0x8000)),
    "udp4 first fragment": ethernet(ipv4(U4, fragment=MORE_FRAGMENTS)),
    "udp4 middle fragment": ethernet(ipv4(DATA, fragment=MORE_FRAGMENTS | 185)),
    "udp4 last fragment": ethernet(ipv4(DATA, fragment=370)),
    "fragment too short for its transport": ethernet(ipv4(b"abcd", protocol=TCP, fragment=185)),
    "udp4 vlan": ethernet(ipv4(U4), vlans=ONE_TAG),
    "udp4 qinq": ethernet(ipv4(U4), vlans=TWO_TAGS),
    "udp4 two plain tags": ethernet(ipv4(U4), vlans=[(VLAN, 1), (VLAN, 2)]),
    "udp4 jumbo": ethernet(ipv4(udp(bytes(3400)))),
    "tcp4": ethernet(ipv4(T4, protocol=TCP)),
    "tcp4 bare ack": ethernet(ipv4(tcp(), protocol=TCP)),
    "tcp4 syn": ethernet(ipv4(tcp(flags=SYN, options=syn_options(77)), protocol=TCP)),
    "tcp4 syn-ack": ethernet(ipv4(tcp(flags=SYN | ACK, options=syn_options(78)), protocol=TCP)),
    "tcp4 syn without options": ethernet(ipv4(tcp(flags=SYN), protocol=TCP)),
    "tcp4 fin": ethernet(ipv4(tcp(flags=FIN | ACK), protocol=TCP)),
    "tcp4 rst": ethernet(ipv4(tcp(flags=RST), protocol=TCP)),
    "tcp4 push": ethernet(ipv4(tcp(DATA, flags=PSH | ACK), protocol=TCP)),
    "tcp4 every flag": ethernet(ipv4(tcp(flags=0xFF), protocol=TCP)),
    "tcp4 no flag": ethernet(ipv4(tcp(flags=0), protocol=TCP)),
    "tcp4 timestamps": ethernet(ipv4(tcp(DATA, options=timestamps(11, 22)), protocol=TCP)),
    "tcp4 timestamps first": ethernet(ipv4(tcp(DATA, options=timestamps(11, 22, padded=False)), protocol=TCP)),
    "tcp4 timestamps and sack": ethernet(ipv4(tcp(options=timestamps(1, 2) + b"\1\1\5\x0a" + bytes(8)), protocol=TCP)),
    "tcp4 sack and timestamps": ethernet(ipv4(tcp(options=b"\1\1\5\x0a" + bytes(8) + timestamps(1, 2)), protocol=TCP)),
    "tcp4 timestamps of wrong length": ethernet(ipv4(tcp(options=b"\x08\x09" + bytes(10)), protocol=TCP)),
    "tcp4 end of options before timestamps": ethernet(ipv4(tcp(options=b"\0\0\0\0" + timestamps(1, 2)), protocol=TCP)),
    "tcp4 option of length zero": ethernet(ipv4(tcp(options=b"\3\0" + bytes(10)), protocol=TCP)),
    "tcp4 only NOPs": ethernet(ipv4(tcp(options=NOPS * 10), protocol=TCP)),
    "tcp4 behind IP options": ethernet(ipv4(T4, protocol=TCP, options=NOPS * 3)),
    "tcp4 vlan": ethernet(ipv4(T4, protocol=TCP), vlans=ONE_TAG),
    "tcp4 qinq": ethernet(ipv4(tcp(options=timestamps(3, 4)), protocol=TCP), vlans=TWO_TAGS),
    "icmp echo": ethernet(ipv4(icmp(), protocol=ICMP)),
    "icmp unreachable": ethernet(ipv4(icmp(3, 1, bytes(4) + ipv4(U4)[:28]), protocol=ICMP)),
    "gre": ethernet(ipv4(bytes(24), protocol=47)),
    "esp without payload": ethernet(ipv4(b"", protocol=50)),
    "ipip": ethernet(ipv4(ipv4(U4), protocol=IPIP)),
    "udp6": ethernet(ipv6(U6)),
    "udp6 ef and ect0": ethernet(ipv6(U6, traffic_class=46 << 2 | 2)),
    "udp6 ce": ethernet(ipv6(U6, traffic_class=3)),
    "udp6 full flow label": ethernet(ipv6(U6, flow_label=0xFFFFF, traffic_class=0xFF)),
    "udp6 vlan": ethernet(ipv6(U6), vlans=ONE_TAG),
    "udp6 qinq": ethernet(ipv6(U6), vlans=TWO_TAGS),
    "udp6 padded": ethernet(ipv6(udp(ends=ENDS6)) + bytes(5)),
    "udp6 jumbo": ethernet(ipv6(udp(bytes(3400), ends=ENDS6))),
    "tcp6": ethernet(ipv6(T6, protocol=TCP)),
    "tcp6 syn": ethernet(ipv6(tcp(flags=SYN, options=syn_options(5), ends=ENDS6), protocol=TCP)),
    "tcp6 timestamps": ethernet(ipv6(tcp(options=timestamps(8, 9), ends=ENDS6), protocol=TCP)),
    "icmp6 echo": ethernet(ipv6(icmp(128), protocol=ICMPV6)),
    "no next header": ethernet(ipv6(b"", protocol=59)),
    "hop-by-hop": ethernet(chain(HOP_BY_HOP)),
    "routing": ethernet(chain(ROUTING)),
    "destination options": ethernet(chain(DESTINATION)),
    "authentication": ethernet(chain(AUTHENTICATION)),
    "long options": ethernet(ipv6(extension(UDP, bytes(254)) + U6, protocol=DESTINATION)),
    "six extensions": ethernet(chain(HOP_BY_HOP, DESTINATION, ROUTING, AUTHENTICATION, DESTINATION, DESTINATION)),
    "tcp behind four extensions": ethernet(
        chain(
            HOP_BY_HOP, ROUTING, DESTINATION, DESTINATION, last=TCP, payload=tcp(options=timestamps(1, 1), ends=ENDS6)
        )
    ),
    "atomic fragment": ethernet(ipv6(fragment6(UDP, 0, more=False) + U6, protocol=FRAGMENT)),
    "udp6 first fragment": ethernet(ipv6(fragment6(UDP, 0, more=True) + U6, protocol=FRAGMENT)),
    "udp6 later fragment": ethernet(ipv6(fragment6(UDP, 40, more=False) + DATA, protocol=FRAGMENT)),
    "fragment behind hop-by-hop": ethernet(
        ipv6(extension(FRAGMENT) + fragment6(TCP, 9, more=True) + DATA, protocol=HOP_BY_HOP)
    ),
    "fragment whose payload begins with an extension": ethernet(
        ipv6(fragment6(DESTINATION, 0, more=True) + extension(UDP) + U6, protocol=FRAGMENT)
    ),
    "ip6ip6": ethernet(ipv6(ipv6(U6), protocol=IPV6)),
}

REFUSED: Final[dict[str, tuple[bytes, str]]] = {
    "arp": (ethernet(bytes(28), ETH_ARP), "NOT_IP"),
    "unknown type": (ethernet(bytes(46), 0x88CC), "NOT_IP"),
    "length instead of a type": (ethernet(bytes(46), 46), "NOT_IP"),
    "three tags": (ethernet(ipv4(U4), vlans=[*TWO_TAGS, (VLAN, 3)]), "VLAN_DEEP"),
    "tag cut off": (ethernet(b"\0", VLAN), "VLAN_SHORT"),
    "second tag cut off": (ethernet(b"\0\5\x81\0\0", SERVICE_VLAN), "VLAN_SHORT"),
    "no IPv4 header": (ethernet(b"", 0x0800), "IP4_SHORT"),
    "version 5": (ethernet(ipv4(U4, version=5), 0x0800), "IP4_BAD_HEADER"),
    "version 6 with the type of 4": (ethernet(ipv6(U6), 0x0800), "IP4_BAD_HEADER"),
    "IPv4 header of four words": (ethernet(ipv4(U4, words=4)), "IP4_BAD_HEADER"),
    "IPv4 header longer than the packet": (ethernet(ipv4(b"", words=15)), "IP4_BAD_LENGTH"),
    "total length below the header's": (ethernet(ipv4(U4, total=19)), "IP4_BAD_LENGTH"),
    "total length beyond the frame": (ethernet(ipv4(U4, total=2000)), "IP4_BAD_LENGTH"),
    "no IPv6 header": (ethernet(bytes(39), 0x86DD), "IP6_SHORT"),
    "version 4 with the type of 6": (ethernet(ipv4(U4) + bytes(20), 0x86DD), "IP6_BAD_HEADER"),
    "payload length beyond the frame": (ethernet(ipv6(U6, length=2000)), "IP6_BAD_LENGTH"),
    "extension cut off": (ethernet(ipv6(b"\x11\0\0\0", protocol=HOP_BY_HOP)), "IP6_EXTENSION_SHORT"),
    "extension longer than the packet": (
        ethernet(ipv6(b"\x11\x09" + bytes(20), protocol=ROUTING)),
        "IP6_EXTENSION_SHORT",
    ),
    "extension reaching into padding": (
        ethernet(ipv6(b"\x11\1" + bytes(6), protocol=ROUTING) + bytes(40)),
        "IP6_EXTENSION_SHORT",
    ),
    "seven extensions": (ethernet(chain(*[DESTINATION] * 7)), "IP6_EXTENSION_DEEP"),
    "udp header cut off": (ethernet(ipv4(b"1234567")), "TRANSPORT_SHORT"),
    "udp header in the padding": (ethernet(ipv4(b"") + bytes(26)), "TRANSPORT_SHORT"),
    "udp length of seven": (ethernet(ipv4(udp(length=7))), "UDP_BAD_LENGTH"),
    "udp length beyond the packet": (ethernet(ipv4(udp(DATA, length=100)) + bytes(100)), "UDP_BAD_LENGTH"),
    "tcp header cut off": (ethernet(ipv4(T4[:19], protocol=TCP)), "TRANSPORT_SHORT"),
    "tcp header of four words": (ethernet(ipv4(tcp(words=4), protocol=TCP)), "TCP_BAD_HEADER"),
    "tcp header beyond the packet": (ethernet(ipv4(tcp(words=6), protocol=TCP)), "TCP_BAD_HEADER"),
    "icmp cut off": (ethernet(ipv4(b"\x08\0\0\0", protocol=ICMP)), "TRANSPORT_SHORT"),
    "transport too deep": (
        ethernet(ipv6(extension(UDP, bytes(1022)) + U6, protocol=DESTINATION)),
        "TRANSPORT_SHORT",
    ),
}
