"""Frames byte by byte: every field can be given, right or wrong; what is not given is right."""

import ipaddress
import struct
from collections.abc import Sequence
from typing import Final

ETH_IPV4: Final = 0x0800
ETH_IPV6: Final = 0x86DD
ETH_ARP: Final = 0x0806
VLAN: Final = 0x8100
SERVICE_VLAN: Final = 0x88A8

ICMP, IPIP, TCP, UDP, IPV6, ICMPV6 = 1, 4, 6, 17, 41, 58
HOP_BY_HOP, ROUTING, FRAGMENT, AUTHENTICATION, DESTINATION = 0, 43, 44, 51, 60

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16

CLIENT4, SERVER4 = "192.0.2.7", "198.51.100.9"
CLIENT6, SERVER6 = "2001:db8::7", "2001:db8:1::9"
THERE, HERE = bytes.fromhex("020000000001"), bytes.fromhex("020000000002")

MAY_FRAGMENT, DONT_FRAGMENT, MORE_FRAGMENTS = 0, 0x4000, 0x2000


def checksum(data: bytes) -> int:
    """The internet checksum of `data`, as it is stored."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def packed(address: str) -> bytes:
    return ipaddress.ip_address(address).packed


def pseudo_header(source: str, destination: str, protocol: int, length: int) -> bytes:
    ends = packed(source) + packed(destination)
    if len(ends) == 8:
        return ends + struct.pack("!BBH", 0, protocol, length)
    return ends + struct.pack("!IHBB", length, 0, 0, protocol)


def ethernet(payload: bytes, kind: int | None = None, vlans: Sequence[tuple[int, int]] = ()) -> bytes:
    """`vlans` are (tag protocol, tag control), outermost first; `kind` follows the version of an IP payload."""
    if kind is None:
        kind = ETH_IPV6 if payload[:1] and payload[0] >> 4 == 6 else ETH_IPV4
    head, types = HERE + THERE, [protocol for protocol, _ in vlans] + [kind]
    tags = b"".join(struct.pack("!HH", control, inner) for (_, control), inner in zip(vlans, types[1:], strict=True))
    return head + struct.pack("!H", types[0]) + tags + payload


def ipv4(
    payload: bytes = b"",
    *,
    protocol: int = UDP,
    source: str = CLIENT4,
    destination: str = SERVER4,
    tos: int = 0,
    fragment: int = DONT_FRAGMENT,
    options: bytes = b"",
    total: int | None = None,
    words: int | None = None,
    version: int = 4,
    ttl: int = 64,
) -> bytes:
    """`options` in whole words; `fragment` is the field of flags and offset; `words` the header's length."""
    header = 20 + len(options)
    raw = struct.pack(
        "!BBHHHBBH4s4s",
        version << 4 | (header // 4 if words is None else words),
        tos,
        header + len(payload) if total is None else total,
        0x1234,
        fragment,
        ttl,
        protocol,
        0,
        packed(source),
        packed(destination),
    )
    raw += options
    return raw[:10] + struct.pack("!H", checksum(raw)) + raw[12:] + payload


def ipv6(
    payload: bytes = b"",
    *,
    protocol: int = UDP,
    source: str = CLIENT6,
    destination: str = SERVER6,
    traffic_class: int = 0,
    flow_label: int = 0x12345,
    length: int | None = None,
    version: int = 6,
    hops: int = 64,
) -> bytes:
    """Extension headers are part of `payload`; `protocol` is then the first one's."""
    first = version << 28 | traffic_class << 20 | flow_label
    size = len(payload) if length is None else length
    return struct.pack("!IHBB", first, size, protocol, hops) + packed(source) + packed(destination) + payload


def extension(next_header: int, body: bytes = bytes(6)) -> bytes:
    """Hop-by-hop, routing or destination options: `body` of 6 bytes plus a multiple of 8."""
    return struct.pack("!BB", next_header, (len(body) + 2) // 8 - 1) + body


def authentication(next_header: int, body: bytes = bytes(10)) -> bytes:
    """An AH header, whose length counts in words."""
    return struct.pack("!BB", next_header, (len(body) + 2) // 4 - 2) + body


def fragment6(next_header: int, offset: int, *, more: bool) -> bytes:
    """`offset` in units of 8 bytes."""
    return struct.pack("!BBHI", next_header, 0, offset << 3 | more, 0xABCD)


def udp(
    payload: bytes = b"",
    *,
    source_port: int = 40000,
    destination_port: int = 53,
    length: int | None = None,
    ends: tuple[str, str] | None = (CLIENT4, SERVER4),
) -> bytes:
    """With `ends` the checksum is right for them, without it is 0 (none)."""
    size = 8 + len(payload)
    raw = struct.pack("!HHHH", source_port, destination_port, size if length is None else length, 0) + payload
    if ends is None:
        return raw
    sum_of_all = checksum(pseudo_header(*ends, UDP, size) + raw) or 0xFFFF
    return raw[:6] + struct.pack("!H", sum_of_all) + raw[8:]


def tcp(
    payload: bytes = b"",
    *,
    source_port: int = 40000,
    destination_port: int = 80,
    flags: int = ACK,
    options: bytes = b"",
    words: int | None = None,
    ends: tuple[str, str] = (CLIENT4, SERVER4),
) -> bytes:
    """`options` in whole words; `words` is the data offset."""
    offset = (20 + len(options)) // 4 if words is None else words
    raw = struct.pack("!HHIIBBHHH", source_port, destination_port, 1000, 2000, offset << 4, flags, 8192, 0, 0)
    raw += options + payload
    return raw[:16] + struct.pack("!H", checksum(pseudo_header(*ends, TCP, len(raw)) + raw)) + raw[18:]


def timestamps(value: int, echo: int, *, padded: bool = True) -> bytes:
    """The TCP option; `padded` as most stacks send it, with two NOPs in front."""
    return (b"\1\1" if padded else b"") + struct.pack("!BBII", 8, 10, value, echo) + (b"" if padded else b"\1\1")


def syn_options(value: int) -> bytes:
    """What a SYN of Linux carries: MSS, SACK permitted, timestamps, NOP, window scale."""
    return struct.pack("!BBH", 2, 4, 1460) + b"\4\2" + struct.pack("!BBII", 8, 10, value, 0) + b"\1\3\3\7"


def icmp(kind: int = 8, code: int = 0, body: bytes = bytes(4)) -> bytes:
    raw = struct.pack("!BBH", kind, code, 0) + body
    return raw[:2] + struct.pack("!H", checksum(raw)) + raw[4:]


def ipv4_sum_holds(frame: bytes, at: int = 14) -> bool:
    return checksum(frame[at : at + (frame[at] & 15) * 4]) == 0


def udp4(payload: bytes = b"payload", *, tos: int = 0, source: str = CLIENT4, source_port: int = 40000) -> bytes:
    """A whole, plain frame: what a test sends when it does not care."""
    datagram = udp(payload, source_port=source_port, ends=(source, SERVER4))
    return ethernet(ipv4(datagram, tos=tos, source=source))


def udp6(payload: bytes = b"payload", *, traffic_class: int = 0) -> bytes:
    return ethernet(ipv6(udp(payload, ends=(CLIENT6, SERVER6)), traffic_class=traffic_class))


def tcp4(payload: bytes = b"", *, flags: int = ACK, options: bytes = b"", source_port: int = 40000) -> bytes:
    return ethernet(ipv4(tcp(payload, flags=flags, options=options, source_port=source_port), protocol=TCP))


def answer4(payload: bytes = b"", *, flags: int = ACK, options: bytes = b"", port: int = 40000, tos: int = 0) -> bytes:
    """The server's side of the flow that `tcp4` begins."""
    segment = tcp(payload, flags=flags, options=options, source_port=80, destination_port=port, ends=(SERVER4, CLIENT4))
    return ethernet(ipv4(segment, protocol=TCP, source=SERVER4, destination=CLIENT4, tos=tos))
