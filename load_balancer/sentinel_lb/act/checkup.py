"""The slower probe, end to end: an opening packet to each TCP service through each of its nodes, as a client's goes.

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
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import structlog

from sentinel_lb.act.prober import HOPS, IP6, IPIP, checksum
from sentinel_lb.decide.checkup import Checked, Health, avoided, best

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sentinel_lb.act.prober import Target

PERIOD_S: Final = 1.0
MOST: Final = 200
"""Questions in a period: where there are more ways they take turns, but for up to half as many in doubt."""
AT_ONCE: Final = 10
PAUSE_S: Final = AT_ONCE * PERIOD_S / MOST
"""So many, and then a pause: a server's queue need not hold what was asked by way of all nodes."""
FIRST_PORT, PORTS = 0x4800, 0x100
"""18432 to 18687, nobody's: only the filter below looks for them. No two questions of a turn come from one port: where
two ways lead to one server, the second would look to it like a bad word on the first. And no two of a way within four
minutes: a node that translated the first would do so to the second, even where the pod behind it is long gone."""
TCP: Final = 6
SYN, RST, ACK = 0x02, 0x04, 0x10
ETHERTYPES: Final = {4: 0x0800, 6: 0x86DD}
SO_ATTACH_FILTER: Final = 26
MOST_BYTES: Final = 256
_TCP: Final = struct.Struct("!HHIIBBHHH")
# Classic BPF over the IP packet: TCP, and to one of our ports.
_OF_OURS: Final = (0x54, 0, 0, 0xFFFF & -PORTS)
FILTERS: Final = {
    4: ((0x30, 0, 0, 9), (0x15, 0, 5, TCP), (0xB1, 0, 0, 0), (0x48, 0, 0, 2), _OF_OURS, (0x15, 0, 1, FIRST_PORT)),
    6: ((0x30, 0, 0, 6), (0x15, 0, 4, TCP), (0x28, 0, 0, 42), _OF_OURS, (0x15, 0, 1, FIRST_PORT)),
}
VERDICTS: Final = ((0x06, 0, 0, MOST_BYTES), (0x06, 0, 0, 0))

NUMBERS, TURNS = 1 << 16, 1 << 16
"""A question's sequence number is its turn and its node's number, so that the answer says by which way it went."""
LATE_TURNS: Final = 2
Key = tuple[str, int]
"""Address and port of a service."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Check:
    """A service, our own address in its family, and the nodes by way of which it may be asked."""

    address: str
    port: int
    source: str
    ways: tuple[Target, ...]

    @property
    def key(self) -> Key:
        return self.address, self.port


@dataclass(frozen=True, slots=True)
class Answer:
    address: str
    port: int
    flags: int
    acknowledged: int


def asked(turn: int, number: int) -> int:
    """The sequence number of a question."""
    return turn * NUMBERS + number


def port_of(sequence: int) -> int:
    turn, number = divmod(sequence, NUMBERS)
    return FIRST_PORT + (turn + number) % PORTS


def segment(check: Check, flags: int, sequence: int, port: int) -> bytes:
    """As it lies in the tunnel."""
    here, there = ipaddress.ip_address(check.source), ipaddress.ip_address(check.address)
    bare = _TCP.pack(port, check.port, sequence, 0, 5 << 4, flags, 1024, 0, 0)
    pseudo = here.packed + there.packed + struct.pack("!II", len(bare), TCP)
    tcp = _TCP.pack(port, check.port, sequence, 0, 5 << 4, flags, 1024, checksum(pseudo + bare), 0)
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
    """`aim` and `health` may be called from any thread. A turn is a second of the machine's clock: a successor goes on
    with other ports than those from which this one asked."""

    interface: str
    tunnel_port: int
    clock: Callable[[], float] = time.monotonic
    _checks: tuple[Check, ...] = ()
    _checked: dict[Key, dict[int, Checked]] = field(default_factory=dict)
    _avoided: Mapping[Key, frozenset[int]] = field(default_factory=dict)
    _turn: int = 0
    _pauses_s: float = 0.0
    _next: int = 0
    _waiting: deque[tuple[Check, Target]] = field(default_factory=deque)
    _sockets: dict[tuple[int, str, int], socket.socket] = field(default_factory=dict)
    _stopped: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread = field(init=False)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._run, name="checkup", daemon=True)

    def aim(self, checks: tuple[Check, ...]) -> None:
        self._checks = checks

    @property
    def health(self) -> Mapping[Key, Health]:
        """Of services that were asked."""
        return {key: best(list(each.values())) for key, each in dict(self._checked).items()}

    @property
    def avoided(self) -> Mapping[Key, frozenset[int]]:
        """Numbers of the nodes that new clients of a service are kept from; services that avoid nobody are left out."""
        return self._avoided

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        hearing = [ear(self.interface, version) for version in ETHERTYPES]
        due = self.clock()
        try:
            while not self._stopped.is_set():
                heard, _, _ = select.select(hearing, [], [], min(max(0.0, due - self.clock()), 0.1))
                # All that waits to be heard comes first: who had no processor himself takes nobody for silent.
                for each in heard:
                    self._hear_all(each)
                if self.clock() >= due:
                    due = self._ask()
        finally:
            for each in (*hearing, *self._sockets.values()):
                each.close()

    def _ask(self) -> float:
        """The next few questions; says when those after them are due."""
        now = self.clock()
        if not self._waiting:
            self._turn, self._pauses_s = int(now) % TURNS, -PAUSE_S
            self._waiting.extend(self._round())
        self._pauses_s += PAUSE_S
        for check, way in [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]:
            self._note(check.key, way.number, self._of(check.key, way.number).asked())
            sequence = asked(self._turn, way.number)
            self._send(way, segment(check, SYN, sequence, port_of(sequence)))
        if self._waiting:
            return now + PAUSE_S
        self._avoid()
        return now + max(PAUSE_S, PERIOD_S - self._pauses_s)  # so each is asked a period later, whenever this was late

    def _round(self) -> list[tuple[Check, Target]]:
        """Of a period, in the order of the nodes: next to each other are questions to several services. Those in doubt
        come last: the answer to the question before may still be on its way."""
        checks = self._checks
        self._forget_all_but({each.key: {way.number for way in each.ways} for each in checks})
        pairs = [(check, way) for check in checks for way in check.ways]
        if len(pairs) <= MOST:
            return sorted(pairs, key=_node)
        doubted = [at for at, (check, way) in enumerate(pairs) if self._doubted(check.key, way.number)]
        first = self._turn * (MOST // 2) % max(1, len(doubted))
        doubted = (doubted[first:] + doubted[:first])[: MOST // 2]
        turns = [(self._next + step) % len(pairs) for step in range(MOST - len(doubted))]
        self._next = (turns[-1] + 1) % len(pairs)
        others = set(turns) - set(doubted)
        return [*sorted((pairs[at] for at in others), key=_node), *sorted((pairs[at] for at in doubted), key=_node)]

    def _doubted(self, key: Key, number: int) -> bool:
        checked = self._of(key, number)
        return bool(checked.unanswered or checked.failures) or number in self._avoided.get(key, ())

    def _hear_all(self, ear: socket.socket) -> None:
        """No more than can be waiting: servers say again what they had no word on."""
        for _ in range(4 * MOST):
            packet = received(ear)
            if not packet:
                return
            self._hear(packet)

    def _hear(self, packet: bytes) -> None:
        found = answer_in(packet)
        if found is None:
            return
        check = next((each for each in self._checks if each.key == (found.address, found.port)), None)
        sequence = (found.acknowledged - 1) & 0xFFFFFFFF
        turn, number = divmod(sequence, NUMBERS)
        way = next((each for each in check.ways if each.number == number), None) if check else None
        if check is None or way is None or (self._turn - turn) % TURNS > LATE_TURNS:
            return
        refused = bool(found.flags & RST)
        self._note(check.key, number, self._of(check.key, number).answered(refused=refused))
        if not refused:
            self._send(way, segment(check, RST, found.acknowledged, port_of(sequence)))

    def _of(self, key: Key, number: int) -> Checked:
        return self._checked.get(key, {}).get(number, Checked())

    def _note(self, key: Key, number: int, checked: Checked) -> None:
        known = self._checked.get(key, {})
        before, now = best(known.values()), known | {number: checked}
        self._checked[key] = now
        if best(now.values()) is not before:
            log.info("service_health", vip=key[0], port=key[1], health=best(now.values()).value)

    def _forget_all_but(self, wanted: Mapping[Key, set[int]]) -> None:
        self._checked = {
            key: {number: each for number, each in known.items() if number in wanted[key]}
            for key, known in self._checked.items()
            if key in wanted
        }

    def _avoid(self) -> None:
        now = {key: avoided(self._avoided.get(key, frozenset()), known) for key, known in self._checked.items()}
        self._avoided = {key: numbers for key, numbers in now.items() if numbers}

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


def _node(pair: tuple[Check, Target]) -> int:
    return pair[1].number


def received(ear: socket.socket) -> bytes:
    """Nothing where nothing waits, and when the interface went down, which the socket tells once; it hears again when
    that comes back."""
    try:
        return ear.recv(MOST_BYTES)
    except BlockingIOError:
        return b""
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
    made.setblocking(False)
    return made
