"""The prober: small packets through the tunnel to every node, on a grid, in a thread of its own.

Nodes answer in the kernel and the balancer's XDP notes it; nothing is received here. The heartbeat that makes the
answers count is told only while the prober keeps its own time.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sentinel_lb.act.sendmany import Salvo
from sentinel_lb.decide.prober import MISSED, MOST_NS, Patience, Rhythm
from sentinel_mesh.priority import go_first

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from numpy.typing import NDArray

HOPS: Final = 64
SOURCE_PORT: Final = 18470
_PROBE: Final = struct.Struct("!IBBHIIQ")
_UDP: Final = struct.Struct("!HHHH")
IPIP, IP6, UDP = 4, 41, 17


@dataclass(frozen=True, slots=True)
class Wire:
    """Constants of the object that is loaded: never typed twice."""

    magic: int
    version: int
    ask: int
    probe_port: int
    tunnel_port: int


@dataclass(frozen=True, slots=True)
class Target:
    """`encap` is that of the backend: IP, UDP or L2; `source` is ours in the same family."""

    number: int
    address: str
    source: str
    encap: str


@dataclass(frozen=True, slots=True)
class Round:
    """What is sent in one period, and how long that is."""

    period_ns: int
    targets: tuple[Target, ...] = ()


def inner(target: Target, wire: Wire) -> bytes:
    """The probe as it lies in the tunnel, numbered and timed later. Without a UDP sum, over IPv6 too, as in RFC 6935:
    it is read and answered by XDP programs, before any stack could mind."""
    payload = _PROBE.pack(wire.magic, wire.version, wire.ask, target.number, 0, 0, 0)
    length = _UDP.size + len(payload)
    here, there = ipaddress.ip_address(target.source), ipaddress.ip_address(target.address)
    datagram = _UDP.pack(SOURCE_PORT, wire.probe_port, length, 0) + payload
    if there.version == 4:
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0, 0x4000, HOPS, UDP, 0) + here.packed + there.packed
        return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + datagram
    return struct.pack("!IHBB", 6 << 28, length, UDP, HOPS) + here.packed + there.packed + datagram


def checksum(raw: bytes) -> int:
    """Of the Internet, over whole words."""
    total: int = sum(struct.unpack(f"!{len(raw) // 2}H", raw))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Volley:
    """One round of probes, laid out once: only numbers and times change from round to round."""

    def __init__(self, aimed: Round, wire: Wire) -> None:
        self.period_ns = aimed.period_ns
        self._parts = [(key, _salvo(key[1], targets, wire)) for key, targets in _grouped(aimed.targets).items()]

    def __bool__(self) -> bool:
        return bool(self._parts)

    def send(self, socket_of: Callable[[int, str], socket.socket], seq: int) -> tuple[int, int]:
        sent = failed = 0
        for (version, encap), salvo in self._parts:
            stamp = np.frombuffer(struct.pack("!IIQ", seq & 0xFFFFFFFF, 0, time.monotonic_ns()), np.uint8)
            salvo.packets[:, -stamp.size :] = stamp
            done, lost = salvo.send(socket_of(version, encap))
            sent, failed = sent + done, failed + lost
        return sent, failed


def _salvo(encap: str, targets: Sequence[Target], wire: Wire) -> Salvo:
    packets = [inner(each, wire) for each in targets]
    if encap == "L2":  # the stack makes the headers itself
        packets = [packet[-_PROBE.size :] for packet in packets]
    port = {"IP": 0, "UDP": wire.tunnel_port, "L2": wire.probe_port}[encap]
    return Salvo(packets, [(each.address, port) for each in targets])


@dataclass(slots=True)
class Answers:
    """The longest gap between two answers of any one node, over a few rounds: what holds up this machine holds up
    everybody's answers, and is learned once."""

    since_ns: int
    seen_ns: NDArray[np.int64] | None = None
    longest_ns: int = 0
    rounds: int = 0

    def note(self, seen_ns: NDArray[Any]) -> None:
        """`seen_ns` is when each was heard last; a gap longer than anybody waits was an absence."""
        before, self.seen_ns = self.seen_ns, seen_ns.astype(np.int64)
        self.rounds += 1
        if before is not None:
            gaps = self.seen_ns - before
            self.longest_ns = int(gaps[gaps <= MOST_NS].max(initial=self.longest_ns))


class Prober:
    """`aim` may be called from any thread; the heartbeat is written by the prober's own."""

    def __init__(self, wire: Wire, heartbeat: NDArray[Any], seen: NDArray[Any]) -> None:
        self._wire = wire
        self._heartbeat = heartbeat
        self._seen = seen
        self._round = self._laid_out = Round(25_000_000)
        self._stopped = threading.Event()
        self._sockets: dict[tuple[int, str], socket.socket] = {}
        self._thread = threading.Thread(target=self._run, name="probe", daemon=True)
        self.rhythm = Rhythm()
        self._patience = Patience()
        self._answers = Answers(time.monotonic_ns())
        self.sent = 0
        self.unsent = 0
        self.late = 0

    def aim(self, at: Round) -> None:
        self._round = at

    @property
    def aimed(self) -> Round:
        return self._round

    def believed(self, now_ns: int) -> bool:
        """Whether its rounds and the answers to them prove anything at this instant."""
        aimed = self._round
        numbers = [each.number for each in aimed.targets]
        if not numbers or aimed is not self._laid_out:
            return False
        newest_ns = int(self._seen["last_seen_ns"][numbers].max())
        return self.rhythm.believed(now_ns, aimed.period_ns, newest_ns)

    @property
    def patience_ns(self) -> int:
        """So long no answer is a failing probe, here and in the kernel."""
        return MISSED * self._patience.period_ns(self._round.period_ns)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join()
        for each in self._sockets.values():
            each.close()

    def _run(self) -> None:
        go_first()
        deadline_ns, seq = time.monotonic_ns(), 0
        volley = Volley(self._laid_out, self._wire)
        while not self._stopped.is_set():
            if self._round is not self._laid_out:
                volley = self._lay_out(self._round)
            seq += 1
            if volley:
                self._fire(volley, seq)
            deadline_ns = max(deadline_ns + volley.period_ns, time.monotonic_ns())
            self._stopped.wait(max(0, deadline_ns - time.monotonic_ns()) / 1e9)

    def _lay_out(self, aimed: Round) -> Volley:
        """Newcomers must have had their time before anyone is judged: else they would be found dead unasked."""
        if not set(aimed.targets) <= set(self._laid_out.targets):
            self.rhythm = Rhythm()
        self._laid_out = aimed
        self._answers = Answers(time.monotonic_ns())
        return Volley(aimed, self._wire)

    def _fire(self, volley: Volley, seq: int) -> None:
        sent, failed = volley.send(self._socket, seq)
        self.sent, self.unsent = self.sent + sent, self.unsent + failed
        now_ns = time.monotonic_ns()
        self.rhythm = self.rhythm.after(now_ns, volley.period_ns)
        self.late += self.rhythm.steady == 0
        self._learn(now_ns)
        if self.believed(now_ns):
            self._heartbeat["period_ns"][0] = self._patience.period_ns(volley.period_ns)
            self._heartbeat["beat_ns"][0] = self._vouched_ns(now_ns)

    def _vouched_ns(self, now_ns: int) -> int:
        """The kernel trusts this for as long as a silence lasts that it takes for death. So where everybody fell silent
        at once it must not be later than that, or all are dead for a moment, though the fault is most likely ours."""
        newest_ns = int(self._seen["last_seen_ns"][[each.number for each in self._laid_out.targets]].max())
        return newest_ns if now_ns - newest_ns <= self.patience_ns else now_ns

    def _learn(self, now_ns: int) -> None:
        numbers = [each.number for each in self._laid_out.targets]
        self._answers.note(self._seen["last_seen_ns"][numbers])
        if self.rhythm.steady == 0:  # gaps that end while the prober itself is late are its own
            self._answers = Answers(now_ns)
        elif self._answers.rounds > MISSED:
            self._patience = self._patience.after(self._answers.longest_ns, now_ns - self._answers.since_ns)
            self._answers = Answers(now_ns, self._answers.seen_ns)

    def _socket(self, version: int, encap: str) -> socket.socket:
        made = self._sockets.get((version, encap))
        if made is None:
            family = socket.AF_INET if version == 4 else socket.AF_INET6
            if encap == "IP":
                made = socket.socket(family, socket.SOCK_RAW, IPIP if version == 4 else IP6)
            else:
                made = socket.socket(family, socket.SOCK_DGRAM)
                if encap == "L2":
                    made.bind(("", SOURCE_PORT))
            made.setblocking(False)
            self._sockets[version, encap] = made
        return made


def _grouped(targets: Iterable[Target]) -> dict[tuple[int, str], list[Target]]:
    groups: dict[tuple[int, str], list[Target]] = {}
    for each in targets:
        groups.setdefault((ipaddress.ip_address(each.address).version, each.encap), []).append(each)
    return groups
