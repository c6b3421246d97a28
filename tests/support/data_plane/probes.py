"""The balancer's probe and the node's answer to it, as they must be on the wire."""

import struct

from support.frames import CLIENT4, CLIENT6, HERE, SERVER4, SERVER6, THERE, ethernet, ipv4, ipv6, udp

ASK, ANSWER = 1, 2
MAGIC, VERSION, PORT = 0x534E5031, 1, 18471
ENDS4, ENDS6 = (CLIENT4, SERVER4), (CLIENT6, SERVER6)


def payload(kind: int = ASK, *, magic: int = MAGIC, version: int = VERSION, extra: bytes = b"") -> bytes:
    return struct.pack("!IBBHIIQ", magic, version, kind, 7, 4711, 0, 123456789) + extra


def asked(body: bytes, ends=ENDS4, *, port: int = PORT, summed: bool = True, vlans=(), tos: int = 0) -> bytes:
    datagram = udp(body, source_port=33000, destination_port=port, ends=ends if summed else None)
    packet = ipv4(datagram, ttl=9, tos=tos) if ends == ENDS4 else ipv6(datagram, hops=9, traffic_class=tos)
    return ethernet(packet, vlans=vlans)


def answered(body: bytes, ends=ENDS4, *, summed: bool = True, vlans=()) -> bytes:
    """What must come out: ends, ports and addresses turned, hops fresh, and every sum right from scratch."""
    back = ends[::-1]
    datagram = udp(body, source_port=PORT, destination_port=33000, ends=back if summed else None)
    source, destination = back
    packet = (ipv4 if ends == ENDS4 else ipv6)(datagram, source=source, destination=destination)
    raw = ethernet(packet, vlans=vlans)
    return THERE + HERE + raw[12:]
