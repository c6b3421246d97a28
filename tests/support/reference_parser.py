"""What the kernel's parser should find in a frame, written from the standards and not from the C: a judge.

It reads with a cursor and leaves by exception, where the C returns outcomes; only the limits that the data plane
states (two tags, six extension headers, header depth) are common.
"""

import struct
from dataclasses import dataclass, field
from typing import Final

MAX_TAGS: Final = 2
MAX_EXTENSIONS: Final = 6
MAX_TCP_OPTIONS: Final = 8
DEEPEST: Final = 1023

FOUND, NOT_OURS, MALFORMED = 0, 1, 2
EXTENSIONS: Final = {0: "options", 43: "options", 60: "options", 44: "fragment", 51: "authentication"}
MAPPED: Final = bytes(10) + b"\xff\xff"


@dataclass(slots=True)
class Parsed:
    """Fields are meaningful only where `outcome` is FOUND."""

    outcome: int = FOUND
    reason: str = ""
    version: int = 0
    source: bytes = b""
    destination: bytes = b""
    protocol: int = 0
    ports: tuple[int, int] | None = None
    dscp: int = 0
    ecn: int = 0
    fragment: bool = False
    tcp_flags: int = 0
    timestamps: tuple[int, int] | None = None
    network: int = 0
    transport: int = 0


class Stop(Exception):
    """The walk ends here, for this reason."""

    def __init__(self, outcome: int, reason: str) -> None:
        self.outcome, self.reason = outcome, reason


def malformed(reason: str) -> Stop:
    return Stop(MALFORMED, reason)


@dataclass(slots=True)
class Cursor:
    frame: bytes
    at: int = 0
    end: int = field(init=False)

    def __post_init__(self) -> None:
        self.end = len(self.frame)

    def see(self, size: int, otherwise: str) -> bytes:
        """The next bytes, without moving; they must lie in the packet and not too deep."""
        if self.at + size > self.end or self.at > DEEPEST:
            raise malformed(otherwise)
        return self.frame[self.at : self.at + size]


def parse(frame: bytes) -> Parsed:
    found, cursor = Parsed(), Cursor(frame)
    try:
        kind = _link(cursor, found)
        if kind == 0x0800:
            _version4(cursor, found)
        elif kind == 0x86DD:
            _version6(cursor, found)
        else:
            raise Stop(NOT_OURS, "NOT_IP")
        if not found.fragment:
            _transport(cursor, found)
    except Stop as stop:
        found.outcome, found.reason = stop.outcome, stop.reason
    return found


def _link(cursor: Cursor, found: Parsed) -> int:
    kind = int.from_bytes(cursor.see(14, "ETHERNET_SHORT")[12:], "big")
    cursor.at, tags = 14, 0
    while kind in (0x8100, 0x88A8):
        if tags == MAX_TAGS:
            raise Stop(NOT_OURS, "VLAN_DEEP")
        kind = int.from_bytes(cursor.see(4, "VLAN_SHORT")[2:], "big")
        cursor.at, tags = cursor.at + 4, tags + 1
    found.network = cursor.at
    return kind


def _version4(cursor: Cursor, found: Parsed) -> None:
    header = cursor.see(20, "IP4_SHORT")
    size, total = (header[0] & 15) * 4, int.from_bytes(header[2:4], "big")
    if header[0] >> 4 != 4 or size < 20:
        raise malformed("IP4_BAD_HEADER")
    if not size <= total <= cursor.end - cursor.at:
        raise malformed("IP4_BAD_LENGTH")
    found.version, found.protocol = 4, header[9]
    found.dscp, found.ecn = divmod(header[1], 4)
    found.source, found.destination = MAPPED + header[12:16], MAPPED + header[16:20]
    found.fragment = int.from_bytes(header[6:8], "big") & 0x3FFF != 0
    cursor.end = cursor.at + total
    cursor.at += size
    found.transport = cursor.at


def _version6(cursor: Cursor, found: Parsed) -> None:
    header = cursor.see(40, "IP6_SHORT")
    first, length, following = struct.unpack_from("!IHB", header)
    if first >> 28 != 6:
        raise malformed("IP6_BAD_HEADER")
    if 40 + length > cursor.end - cursor.at:
        raise malformed("IP6_BAD_LENGTH")
    found.version, found.protocol = 6, following
    found.dscp, found.ecn = divmod(first >> 20 & 0xFF, 4)
    found.source, found.destination = header[8:24], header[24:40]
    cursor.end = cursor.at + 40 + length
    cursor.at += 40
    seen = 0
    while found.protocol in EXTENSIONS and not found.fragment:
        if seen == MAX_EXTENSIONS:
            raise malformed("IP6_EXTENSION_DEEP")
        _extension(cursor, found)
        seen += 1
    found.transport = cursor.at


def _extension(cursor: Cursor, found: Parsed) -> None:
    kind = EXTENSIONS[found.protocol]
    start = cursor.see(8, "IP6_EXTENSION_SHORT")
    found.protocol = start[0]
    if kind == "fragment":
        size = 8
        found.fragment = int.from_bytes(start[2:4], "big") & 0xFFF9 != 0
    elif kind == "authentication":
        size = (start[1] + 2) * 4
    else:
        size = (start[1] + 1) * 8
    if cursor.at + size > cursor.end:
        raise malformed("IP6_EXTENSION_SHORT")
    cursor.at += size


def _transport(cursor: Cursor, found: Parsed) -> None:
    if found.protocol == 6:
        _tcp(cursor, found)
    elif found.protocol == 17:
        source, destination, length = struct.unpack_from("!HHH", cursor.see(8, "TRANSPORT_SHORT"))
        if not 8 <= length <= cursor.end - cursor.at:
            raise malformed("UDP_BAD_LENGTH")
        found.ports = source, destination
    elif found.protocol in (1, 58):
        cursor.see(8, "TRANSPORT_SHORT")


def _tcp(cursor: Cursor, found: Parsed) -> None:
    header = cursor.see(20, "TRANSPORT_SHORT")
    size = (header[12] >> 4) * 4
    if size < 20 or size > cursor.end - cursor.at:
        raise malformed("TCP_BAD_HEADER")
    found.ports = int.from_bytes(header[0:2], "big"), int.from_bytes(header[2:4], "big")
    found.tcp_flags = header[13]
    if cursor.at + 20 <= DEEPEST:
        found.timestamps = _timestamps(cursor.frame[cursor.at + 20 : cursor.at + size], DEEPEST - cursor.at - 20)


def _timestamps(options: bytes, depth: int) -> tuple[int, int] | None:
    at = 0
    if options[:4] == b"\x01\x01\x08\x0a" and len(options) >= 12:
        value, echo = struct.unpack_from("!II", options, 4)
        return value, echo
    for _ in range(MAX_TCP_OPTIONS):
        if at + 2 > len(options) or at > depth or options[at] == 0:
            return None
        if options[at] == 1:
            at += 1
        elif options[at] == 8:
            if options[at + 1] != 10 or at + 10 > len(options):
                return None
            value, echo = struct.unpack_from("!II", options, at + 2)
            return value, echo
        elif options[at + 1] < 2:
            return None
        else:
            at += options[at + 1]
    return None
