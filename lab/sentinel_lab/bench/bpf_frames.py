"""The frames that the data plane's benchmark sends: the usual packets, small, so that headers are what costs."""

from __future__ import annotations

import struct
from dataclasses import dataclass

TCP, UDP = 6, 17
ACK = 0x10
TO_NOBODY = bytes.fromhex("0200000000fe")  # so that the stack behind lets go of it early
FROM = bytes.fromhex("020000000001")
SOURCE4, DESTINATION4 = bytes((10, 0, 0, 1)), bytes((198, 51, 100, 9))
SOURCE6, DESTINATION6 = bytes.fromhex("20010db8" + "00" * 11 + "01"), bytes.fromhex("20010db80001" + "00" * 9 + "09")
PAYLOAD = bytes(18)
PORTS = struct.pack("!HH", 1024, 443)


@dataclass(frozen=True, slots=True)
class Frame:
    """`address_at` and `port_at` tell the loop what to rewrite."""

    name: str
    data: bytes
    address_at: int
    port_at: int


def _tcp(options: bytes) -> bytes:
    return PORTS + struct.pack("!IIBBHHH", 1, 1, (20 + len(options)) // 4 << 4, ACK, 512, 0, 0) + options + PAYLOAD


def _udp() -> bytes:
    return PORTS + struct.pack("!HH", 8 + len(PAYLOAD), 0) + PAYLOAD


def _over4(protocol: int, data: bytes) -> bytes:
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(data), 0, 0x4000, 64, protocol, 0)
    return TO_NOBODY + FROM + b"\x08\x00" + head + SOURCE4 + DESTINATION4 + data


def _over6(protocol: int, data: bytes) -> bytes:
    head = struct.pack("!IHBB", 6 << 28, len(data), protocol, 64)
    return TO_NOBODY + FROM + b"\x86\xdd" + head + SOURCE6 + DESTINATION6 + data


def _answer() -> bytes:
    segment = struct.pack("!HHIIBBHHH", 443, 1024, 1, 1, 5 << 4, ACK, 512, 0, 0) + PAYLOAD
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(segment), 0, 0x4000, 64, TCP, 0)
    return FROM + TO_NOBODY + b"\x08\x00" + head + DESTINATION4 + SOURCE4 + segment


TIMESTAMPS = b"\x01\x01\x08\x0a" + struct.pack("!II", 1000, 2000)
PLAIN4 = Frame("IPv4 TCP", _over4(TCP, _tcp(b"")), 26, 34)
PLAIN6 = Frame("IPv6 TCP", _over6(TCP, _tcp(b"")), 34, 54)
STAMPED4 = Frame("IPv4 TCP with timestamps", _over4(TCP, _tcp(TIMESTAMPS)), 26, 34)
ANSWER4 = Frame("IPv4 TCP, the answer to it", _answer(), 30, 36)
DATAGRAM4 = Frame("IPv4 UDP", _over4(UDP, _udp()), 26, 34)
