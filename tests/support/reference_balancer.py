"""What the balancer must do with a frame, written from the design and not from the C: a judge with a clock of its own.

It knows the same rings (those are tested by themselves) and the same flow hash, and builds every outgoing frame and
every sum from scratch.
"""

import ipaddress
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final

from support.frames import checksum, pseudo_header
from support.reference_parser import FOUND, Parsed, parse

SLOTS: Final = 65_537
STEP: Final = 24_593
ATTEMPTS: Final = 4
LOTS: Final = 1 << 16
MOST_ROOM: Final = 1 << 47
MASK: Final = (1 << 64) - 1
DROP, PASS, TX = 1, 2, 3
TCP, UDP = 6, 17
SYN, ACK, FIN, RST = 2, 16, 1, 4
QUOTED: Final = 128
PROBE_PORT, TUNNEL_PORT = 18471, 18472


@dataclass
class Backend:
    address: str
    mac: bytes
    mtu: int = 1500
    encap: str = "IP"
    generation: int = 1
    present: bool = True
    draining: bool = False
    suspected: bool = False
    load: int = 0
    mesh: float = -1e9
    seen: float = -1e9
    rooms: dict[int, tuple[int, float]] = field(default_factory=dict)


@dataclass
class Vip:
    pairs: Any
    idle: float = 0.0
    sticky: bool = False


@dataclass
class Conn:
    backend: int
    generation: int
    last: float
    closed: bool = False
    second: int | None = None  # of a flow that may live there as well, and of UDP
    unsure: bool = False  # it may: TCP was met in the middle, UDP at a time of doubt
    met: float = 0.0


@dataclass(frozen=True)
class Source:
    """The balancer's own addresses, and how many low bits of each follow the flow."""

    address4: str = "10.9.0.0"
    vary4: int = 0xFFFF
    address6: str = "2001:db8:ff::"
    vary6: int = 0xFFFFFFFF


@dataclass(frozen=True)
class Verdict:
    action: int
    reason: str
    backend: int | None
    frame: bytes


@dataclass(frozen=True)
class Flow:
    """Addresses as 16 bytes. `about`: an error that only speaks of the flow."""

    source: bytes
    destination: bytes
    ports: tuple[int, int]
    protocol: int
    about: bool = False


@dataclass(frozen=True)
class Way:
    """`second`: the node that may get it from the first."""

    first: Backend
    second: Backend | None
    about: bool

    def room(self) -> int:
        """Bytes of the packet that fit all the way."""
        mtu = self.first.mtu - overhead(self.first)
        return min(mtu, self.second.mtu) - overhead(self.second) if self.second else mtu


@dataclass
class ReferenceBalancer:
    """Times in seconds of a clock that only `now` moves."""

    class_of: Callable[[Flow], int] = lambda _: 0
    ready_age: float = 0.5
    mesh_age: float = 0.15
    period: float = 0.0
    beat: float = -1e9
    doubt: tuple[float, float] = (0.0, 0.0)  # between these UDP may have come from another balancer
    source: Source = Source()
    mac: bytes = bytes(6)  # the interface's own; zeroes: not known
    now: float = 0.0
    vips: dict[tuple[str, int, int], Vip] = field(default_factory=dict)
    backends: dict[int, Backend] = field(default_factory=dict)
    conns: dict[tuple[Any, ...], Conn] = field(default_factory=dict)

    def verdict(self, frame: bytes) -> Verdict:
        if frame[0] & 1 or (any(self.mac) and frame[:6] != self.mac):
            return Verdict(PASS, "OTHER_HOST", None, frame)
        packet = parse(frame)
        if packet.outcome != FOUND:
            return Verdict(PASS, packet.reason, None, frame)
        flow = flow_of(packet, frame)
        vip = self.vips.get((str(readable(flow.destination)), flow.ports[1], flow.protocol))
        if vip is None:
            return Verdict(PASS, "NO_VIP", None, frame)
        ports = (0, 0) if vip.sticky else flow.ports
        key = (flow.source, flow.destination, ports, flow.protocol)
        number, second, reason = self._choose(packet, flow, vip, key)
        if number is None:
            return Verdict(DROP, "NONE_ALIVE", None, frame)
        if packet.fragment or (packet.version == 6 and packet.transport != packet.network + 40):
            second = None  # nodes look no further than behind the IP header, and fragments are of no flow
        way = self._way(number, second, flow, ip_bytes(frame, packet.network))
        if reason == "KNOWN" and way.second:
            reason = "UNSURE"
        return self._sent(packet, frame, way, number, reason, flow_hash(key))

    # ---- which backend ----

    def _choose(self, packet: Parsed, flow: Flow, vip: Vip, key: tuple[Any, ...]) -> tuple[int | None, int | None, str]:
        """Where to, where else the flow may live, and why."""
        conn, slot = self.conns.get(key), slot_of(flow_hash(key))
        if flow.about:
            if conn and self.lives(conn.backend):
                return conn.backend, conn.second if conn.unsure else None, "ICMP"
            number = self._first_living(vip, slot)
            return number, self._passed_on_to(vip, slot, number), "ICMP"
        opens = not packet.fragment and (packet.protocol == UDP or (packet.tcp_flags & (SYN | ACK)) == SYN)
        if conn and not (opens and self._over(conn, vip)):
            return self._follow(conn, packet, flow, vip, flow_hash(key))
        if packet.fragment:
            return self._first_living(vip, slot), None, "FRAGMENT"
        number, reason = self._place(vip, flow, flow_hash(key)) if opens else (None, "")
        if number is None:
            number, reason = self._first_living(vip, slot), "ONLY_ONE" if opens else "MIDSTREAM"
        second = self._passed_on_to(vip, slot, number) if not opens else None
        unsure = second is not None
        if packet.protocol == UDP:
            second = self._other(vip, slot, number)
            unsure = second is not None and self._doubted(self.now)
        if number is not None:
            generation = self.backends[number].generation
            self.conns[key] = Conn(number, generation, self.now, second=second, unsure=unsure, met=self.now)
        return number, second if unsure else None, reason

    def _passed_on_to(self, vip: Vip, slot: int, number: int | None) -> int | None:
        """Where the first candidate sends what it does not know."""
        first, other = self._pairs(vip, slot)[0]
        return other if number == first != other and self.lives(other) else None

    def _other(self, vip: Vip, slot: int, number: int | None) -> int | None:
        pair = self._pairs(vip, slot)[0]
        return pair[1 - pair.index(number)] if number in pair and pair[0] != pair[1] else None

    def _doubted(self, met: float) -> bool:
        since, until = self.doubt
        return self.now < until and met >= since

    def _over(self, conn: Conn, vip: Vip) -> bool:
        return bool(vip.idle and self.now - conn.last > vip.idle) or (conn.closed and not vip.sticky)

    def _follow(
        self, conn: Conn, packet: Parsed, flow: Flow, vip: Vip, hashed: int
    ) -> tuple[int | None, int | None, str]:
        slot = slot_of(hashed)
        conn.last = self.now
        conn.closed = conn.closed or bool(packet.ports and packet.protocol == TCP and packet.tcp_flags & (FIN | RST))
        if packet.protocol == UDP and conn.second is not None:
            conn.unsure = conn.unsure or self._doubted(conn.met)
        if self.lives(conn.backend) and self.backends[conn.backend].generation == conn.generation:
            return conn.backend, conn.second if conn.unsure else None, "KNOWN"
        number = conn.second if conn.unsure and conn.second is not None and self.lives(conn.second) else None
        conn.second, conn.unsure = None, False
        if number is None:
            number, _ = self._place(vip, flow, hashed)
        if number is None:
            number = self._first_living(vip, slot)
        if number is not None:
            conn.backend, conn.generation = number, self.backends[number].generation
        return number, None, "MOVED"

    def lives(self, number: int) -> bool:
        backend = self.backends.get(number)
        if backend is None or not backend.present:
            return False
        patience = 3 * self.period
        if self.now - self.beat > patience or self.now - backend.seen <= patience:
            return True
        return not (backend.suspected or self.now - backend.mesh > self.mesh_age)

    def _pairs(self, vip: Vip, slot: int) -> list[tuple[int, int]]:
        slots = [(slot + attempt * STEP) % SLOTS for attempt in range(ATTEMPTS)]
        return [(int(vip.pairs[each][0]), int(vip.pairs[each][1])) for each in slots]

    def _first_living(self, vip: Vip, slot: int) -> int | None:
        return next((one for pair in self._pairs(vip, slot) for one in pair if self.lives(one)), None)

    def _place(self, vip: Vip, flow: Flow, hashed: int) -> tuple[int | None, str]:
        for pair in self._pairs(vip, slot_of(hashed)):
            usable = [one for one in pair if self.lives(one) and not self.backends[one].draining]
            if len(usable) == 2:
                return self._better(usable[0], usable[1], self.class_of(flow), hashed)
            if usable:
                return usable[0], "ONLY_ONE"
        return None, ""

    def _better(self, first: int, second: int, class_id: int, hashed: int) -> tuple[int, str]:
        rooms = [self._room(first, class_id), self._room(second, class_id)]
        if rooms[0] is None and rooms[1] is None:
            return first, "BY_RING"
        if rooms[0] is None or rooms[1] is None:
            speaks, silent = (first, second) if rooms[1] is None else (second, first)
            return (speaks if any(rooms) else silent), "BY_ROOM"
        if rooms[0] != rooms[1]:
            return (second if lot_of(hashed) < part_of_second(rooms[0], rooms[1]) else first), "BY_ROOM"
        if rooms[0]:
            return first, "BY_RING"
        return (second if self.backends[second].load < self.backends[first].load else first), "BY_LOAD"

    def _room(self, number: int, class_id: int) -> int | None:
        room, seen = self.backends[number].rooms.get(class_id, (0, -1e9))
        return room if self.now - seen <= self.ready_age else None

    # ---- and the way there ----

    def _also(self, number: int, second: int | None) -> Backend | None:
        """The node that the first can send it on to: both behind tunnels, and alive."""
        if second is None or not self.lives(second) or "L2" in (self.backends[n].encap for n in (number, second)):
            return None
        return self.backends[second]

    def _way(self, number: int, second: int | None, flow: Flow, length: int) -> Way:
        """An UDP flow may be new, so that the one that was not chosen is asked first, where both headers fit."""
        chosen, other = self.backends[number], self._also(number, second)
        if other is None:
            return Way(chosen, None, flow.about)
        first, last = (other, chosen) if flow.protocol == UDP else (chosen, other)
        twice = Way(first, last, flow.about)
        if length > twice.room() and (flow.protocol == UDP or flow.about):
            return Way(chosen, None, flow.about)
        return twice

    def _sent(self, packet: Parsed, frame: bytes, way: "Way", number: int, reason: str, hashed: int) -> Verdict:
        backend, at = way.first, packet.network
        inner = frame[at : at + ip_bytes(frame, at)]
        if len(inner) > way.room():
            if way.about:
                return Verdict(DROP, "TOO_BIG_LOST", number, frame)
            return Verdict(TX, "TOO_BIG", number, too_big(frame, at, way.room()))
        hops = inner[8] if packet.version == 4 else inner[7]
        if hops <= 1:
            return Verdict(PASS, "LAST_HOP", number, frame)
        rest = frame[at + len(inner) :]  # padding stays where it is, at the end
        wrapped = one_hop_less(inner)
        if way.second:
            wrapped = one_hop_less(wrap(wrapped, way.second, self.source, hashed))
        wrapped = wrap(wrapped, backend, self.source, hashed)
        kind = frame[at - 2 : at] if backend.encap == "L2" else (b"\x08\x00" if wrapped[0] >> 4 == 4 else b"\x86\xdd")
        return Verdict(TX, reason, number, backend.mac + frame[:6] + frame[12 : at - 2] + kind + wrapped + rest)


def readable(address: bytes) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    found = ipaddress.IPv6Address(address)
    return found.ipv4_mapped or found


def flow_of(packet: Parsed, frame: bytes) -> Flow:
    own = Flow(packet.source, packet.destination, packet.ports or (0, 0), packet.protocol)
    if packet.fragment or packet.protocol not in (1, 58):
        return own
    kind, quoted = frame[packet.transport], frame[packet.transport + 8 :]
    quoted = quoted[: packet.network + ip_bytes(frame, packet.network) - packet.transport - 8]
    errors = (3, 11, 12) if packet.protocol == 1 else (1, 2, 3, 4)
    about = quoted_flow(quoted, packet.version) if kind in errors else None
    return about if about and about.destination == packet.destination else own


def quoted_flow(quoted: bytes, version: int) -> Flow | None:
    """The flow to which the quoted packet was an answer."""
    if len(quoted) < (20 if version == 4 else 40) or quoted[0] >> 4 != version:
        return None
    if version == 4:
        at, protocol = (quoted[0] & 15) * 4, quoted[9]
        ends = [bytes(10) + b"\xff\xff" + quoted[i : i + 4] for i in (12, 16)]
        whole = at >= 20 and not int.from_bytes(quoted[6:8], "big") & 0x1FFF
    else:
        at, protocol, ends, whole = 40, quoted[6], [quoted[8:24], quoted[24:40]], True
    if not whole or protocol not in (TCP, UDP) or len(quoted) < at + 4:
        return None
    ours, theirs = struct.unpack_from("!HH", quoted, at)
    return Flow(ends[1], ends[0], (theirs, ours), protocol, about=True)


def flow_hash(key: tuple[Any, ...]) -> int:
    source, destination, ports, protocol = key
    raw = source + destination + struct.pack("!HHB3x", *ports, protocol)
    hashed = 0
    for word in struct.unpack("<5Q", raw):
        hashed = (hashed ^ word) * 0x9E3779B97F4A7C15 & MASK
        hashed ^= hashed >> 32
    hashed = hashed * 0xC2B2AE3D27D4EB4F & MASK
    return hashed ^ hashed >> 29


def slot_of(hashed: int) -> int:
    return (hashed >> 32) * SLOTS >> 32


def lot_of(hashed: int) -> Fraction:
    return Fraction((hashed >> 32) % LOTS, LOTS)


def part_of_second(first: int, second: int) -> Fraction:
    """So that over both orders of two nodes each gets as the square of its room, and as few as can leave the first."""
    first, second = min(first, MOST_ROOM), min(second, MOST_ROOM)
    if second <= first:
        return Fraction(0)
    ratio = Fraction((first * LOTS) // second, LOTS)
    return (1 - ratio**2) / (1 + ratio**2)


def ip_bytes(frame: bytes, at: int) -> int:
    length = int.from_bytes(frame[at + 2 : at + 4], "big")
    return length if frame[at] >> 4 == 4 else 40 + int.from_bytes(frame[at + 4 : at + 6], "big")


def overhead(backend: Backend) -> int:
    if backend.encap == "L2":
        return 0
    return (40 if ":" in backend.address else 20) + (8 if backend.encap == "UDP" else 0)


def one_hop_less(inner: bytes) -> bytes:
    if inner[0] >> 4 == 6:
        return inner[:7] + bytes([inner[7] - 1]) + inner[8:]
    size = (inner[0] & 15) * 4
    header = inner[:8] + bytes([inner[8] - 1]) + inner[9:10] + b"\0\0" + inner[12:size]
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + inner[size:]


def wrap(inner: bytes, backend: Backend, source: Source, hashed: int) -> bytes:
    if backend.encap == "L2":
        return inner
    low, tos = hashed & 0xFFFFFFFF, traffic_class(inner)
    protocol = 4 if inner[0] >> 4 == 4 else 41
    udp = backend.encap == "UDP"
    if udp:
        inner = struct.pack("!HHHH", 0xC000 | low & 0x3FFF, TUNNEL_PORT, 8 + len(inner), 0) + inner
        protocol = UDP
    there = ipaddress.ip_address(backend.address)
    if there.version == 4:
        here = int(ipaddress.ip_address(source.address4)) ^ (0 if udp else low & source.vary4)
        head = struct.pack("!BBHHHBBH", 0x45, tos, 20 + len(inner), 0, 0x4000, 64, protocol, 0)
        head += here.to_bytes(4, "big") + there.packed
        return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + inner
    here = int(ipaddress.ip_address(source.address6)) ^ (0 if udp else low & source.vary6)
    head = struct.pack("!IHBB", 6 << 28 | tos << 20 | low & 0xFFFFF, len(inner), protocol, 64)
    return head + here.to_bytes(16, "big") + there.packed + inner


def traffic_class(inner: bytes) -> int:
    return inner[1] if inner[0] >> 4 == 4 else int.from_bytes(inner[:2], "big") >> 4 & 0xFF


def too_big(frame: bytes, at: int, mtu: int) -> bytes:
    quoted = frame[at : at + QUOTED]
    back = frame[6:12] + frame[:6] + frame[12:at]
    if quoted[0] >> 4 == 4:
        message = struct.pack("!BBHHH", 3, 4, 0, 0, mtu) + quoted
        message = message[:2] + struct.pack("!H", checksum(message)) + message[4:]
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(message), 0, 0x4000, 64, 1, 0) + quoted[16:20] + quoted[12:16]
        return back + head[:10] + struct.pack("!H", checksum(head)) + head[12:] + message
    ends = [str(ipaddress.ip_address(quoted[i : i + 16])) for i in (24, 8)]
    message = struct.pack("!BBHI", 2, 0, 0, max(1280, mtu)) + quoted
    total = checksum(pseudo_header(ends[0], ends[1], 58, len(message)) + message)
    message = message[:2] + struct.pack("!H", total) + message[4:]
    return back + struct.pack("!IHBB", 6 << 28, len(message), 58, 64) + quoted[24:40] + quoted[8:24] + message
