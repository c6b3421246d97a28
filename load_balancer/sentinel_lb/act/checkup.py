"""The slower probe, end to end: an opening packet to each TCP service through one of its nodes, as a client's would go.

The service answers us directly, and is told at once that nothing follows. The stack never sees the answer: it comes
from an address that may be our own.
"""

from __future__ import annotations

import contextlib
import ctypes
import ipaddress
import select
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import structlog

from sentinel_lb.act.prober import HOPS, IP6, IPIP, checksum
from sentinel_lb.decide.checkup import Checked, Health

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sentinel_lb.act.prober import Target

PERIOD_S: Final = 2.0
PORT: Final = 18469  # nobody's: only the filter below looks for it
TCP: Final = 6
SYN, RST, ACK = 0x02, 0x04, 0x10
ETHERTYPES: Final = {4: 0x0800, 6: 0x86DD}
SO_ATTACH_FILTER: Final = 26
MOST_BYTES: Final = 256
_TCP: Final = struct.Struct("!HHIIBBHHH")
# Classic BPF over the IP packet: TCP, and to our port.
FILTERS: Final = {
    4: ((0x30, 0, 0, 9), (0x15, 0, 4, TCP), (0xB1, 0, 0, 0), (0x48, 0, 0, 2), (0x15, 0, 1, PORT)),
    6: ((0x30, 0, 0, 6), (0x15, 0, 3, TCP), (0x28, 0, 0, 42), (0x15, 0, 1, PORT)),
}
VERDICTS: Final = ((0x06, 0, 0, MOST_BYTES), (0x06, 0, 0, 0))

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Check:
    """A service, our own address in its family, and the nodes by way of which it may be asked."""

    address: str
    port: int
    source: str
    ways: tuple[Target, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    address: str
    port: int
    flags: int
    acknowledged: int


def segment(check: Check, flags: int, sequence: int) -> bytes:
    """As it lies in the tunnel."""
    here, there = ipaddress.ip_address(check.source), ipaddress.ip_address(check.address)
    bare = _TCP.pack(PORT, check.port, sequence, 0, 5 << 4, flags, 1024, 0, 0)
    pseudo = here.packed + there.packed + struct.pack("!II", len(bare), TCP)
    tcp = _TCP.pack(PORT, check.port, sequence, 0, 5 << 4, flags, 1024, checksum(pseudo + bare), 0)
    if there.version == 6:
        return struct.pack("!IHBB", 6 << 28, len(tcp), TCP, HOPS) + here.packed + there.packed + tcp
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0x4000, HOPS, TCP, 0) + here.packed + there.packed
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + tcp


def answer_in(packet: bytes) -> Answer | None:
    """Of an IP packet that passed the filter."""
    if not packet:
        return None
    version = packet[0] >> 4
    at = (packet[0] & 15) * 4 if version == 4 else 40
    if len(packet) < at + _TCP.size:
        return None
    source = packet[12:16] if version == 4 else packet[8:24]
    port, _, _, acknowledged, _, flags, *_ = _TCP.unpack_from(packet, at)
    return Answer(str(ipaddress.ip_address(source)), port, flags, acknowledged)


@dataclass(slots=True)
class Checkup:
    """`aim` and `health` may be called from any thread."""

    interface: str
    tunnel_port: int
    _checks: tuple[Check, ...] = ()
    _last_way: dict[tuple[str, int], tuple[Check, Target]] = field(default_factory=dict)
    _checked: dict[tuple[str, int], Checked] = field(default_factory=dict)
    _sockets: dict[tuple[int, str, int], socket.socket] = field(default_factory=dict)
    _stopped: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._run, name="checkup", daemon=True)

    def aim(self, checks: tuple[Check, ...]) -> None:
        self._checks = checks

    @property
    def health(self) -> Mapping[tuple[str, int], Health]:
        """By address and port; of services that were asked."""
        return {key: each.health for key, each in dict(self._checked).items()}

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        hearing = [ear(self.interface, version) for version in ETHERTYPES]
        turn, deadline = 0, time.monotonic()
        try:
            while not self._stopped.is_set():
                if time.monotonic() >= deadline:
                    self._ask(turn)
                    turn, deadline = turn + 1, time.monotonic() + PERIOD_S
                heard, _, _ = select.select(hearing, [], [], 0.1)
                for each in heard:
                    self._hear(received(each))
        finally:
            for each in (*hearing, *self._sockets.values()):
                each.close()

    def _ask(self, turn: int) -> None:
        checks = self._checks
        wanted = {(each.address, each.port) for each in checks}
        for gone in self._checked.keys() - wanted:
            del self._checked[gone]
        for check in checks:
            key, way = (check.address, check.port), check.ways[turn % len(check.ways)]
            self._note(key, self._checked.get(key, Checked()).asked())
            self._last_way[key] = check, way
            self._send(way, segment(check, SYN, turn & 0xFFFFFFFF))

    def _hear(self, packet: bytes) -> None:
        found = answer_in(packet)
        if found is None or (found.address, found.port) not in self._checked:
            return
        key = (found.address, found.port)
        refused = bool(found.flags & RST)
        self._note(key, self._checked[key].answered(refused=refused))
        if not refused:
            check, way = self._last_way[key]
            self._send(way, segment(check, RST, found.acknowledged))

    def _note(self, key: tuple[str, int], checked: Checked) -> None:
        before = self._checked.get(key, Checked()).health
        self._checked[key] = checked
        if checked.health is not before:
            log.info("service_health", vip=key[0], port=key[1], health=checked.health.value)

    def _send(self, way: Target, packet: bytes) -> None:
        """What cannot be sent is a question without an answer."""
        port = self.tunnel_port if way.encap == "UDP" else 0
        with contextlib.suppress(OSError):
            self._through(way, packet[0] >> 4).sendto(packet, (way.address, port))

    def _through(self, way: Target, inner: int) -> socket.socket:
        version = ipaddress.ip_address(way.address).version
        made = self._sockets.get((version, way.encap, inner))
        if made is None:
            family = socket.AF_INET if version == 4 else socket.AF_INET6
            if way.encap == "IP":
                made = socket.socket(family, socket.SOCK_RAW, IPIP if inner == 4 else IP6)
            else:
                made = socket.socket(family, socket.SOCK_DGRAM)
            made.setblocking(False)
            self._sockets[version, way.encap, inner] = made
        return made


def received(ear: socket.socket) -> bytes:
    """Nothing when the interface went down, which the socket tells once; it hears again when that comes back."""
    try:
        return ear.recv(MOST_BYTES)
    except OSError as error:
        log.debug("answer_not_received", error=str(error))
        return b""


def ear(interface: str, version: int) -> socket.socket:
    """Of all packets that come to this machine only the answers wake us."""
    steps = b"".join(struct.pack("=HBBI", *each) for each in (*FILTERS[version], *VERDICTS))
    program = ctypes.create_string_buffer(steps, len(steps))
    made = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
    made.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", len(steps) // 8, ctypes.addressof(program)))
    made.bind((interface, ETHERTYPES[version]))
    return made
