"""The few netlink messages the tick sends, built once and spoken over a plain socket.

pyroute2 builds and parses at about a millisecond for a handful of messages; a tick that changes sixteen limits cannot
afford that. Setup, where it does not matter, still goes through pyroute2.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sentinel_api.errors import Transient, Unsupported

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_TCMSG = struct.Struct("=BxxxiIII")  # tcmsg: family, ifindex, handle, parent, info
_ATTRIBUTE = struct.Struct("=HH")
_LIMIT_AT = 24  # in tc_tbf_qopt, behind two rates
U32 = 0xFFFFFFFF
SIOCGIFMTU = 0x8921
LINK_HEADER_BYTES = 14

RTM_NEWQDISC = 36
RTM_GETQDISC = 38
NLMSG_ERROR = 2
NLMSG_DONE = 3
NLM_F_REQUEST = 0x1
NLM_F_ACK = 0x4
NLM_F_ECHO = 0x8
NLM_F_REPLACE = 0x100
NLM_F_DUMP = 0x300
NLM_F_CREATE = 0x400

TCA_KIND = 1
TCA_OPTIONS = 2
TCA_STATS2 = 7
STATS_BASIC = 1
STATS_QUEUE = 3
STATS_PKT64 = 8

TBF_PARMS = 1
TBF_RATE64 = 4
TBF_BURST = 6
ETHERNET = struct.pack("=BBHhH", 0, 1, 0, 0, 0)  # tc_ratespec up to the rate
UNBOUND_BYTES_PER_S = 1 << 50  # even the largest packet takes less than a nanosecond, so it waits for no token

ANSWER_BYTES = 1 << 16
PATIENCE_S = 2.0  # the kernel answers in microseconds unless another holds the RTNL lock


@dataclass(frozen=True, slots=True)
class Message:
    kind: int
    ifindex: int
    handle: int
    parent: int
    attributes: dict[int, bytes]

    @property
    def name(self) -> str:
        """Of the kind of qdisc."""
        return self.attributes[TCA_KIND].rstrip(b"\0").decode()


@dataclass(frozen=True, slots=True)
class Leaf:
    """Raw counters of one fifo, and the limit it has; the 32-bit ones wrap."""

    limit_bytes: int
    sent_bytes: int
    sent_packets: int
    backlog_packets: int
    backlog_bytes: int
    drops_low32: int


def attribute(kind: int, payload: bytes) -> bytes:
    length = _ATTRIBUTE.size + len(payload)
    return _ATTRIBUTE.pack(length, kind) + payload + bytes(-length % 4)


def attributes(raw: bytes) -> dict[int, bytes]:
    found = {}
    while len(raw) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(raw)
        if length < _ATTRIBUTE.size:
            break
        found[kind & 0x3FFF] = raw[_ATTRIBUTE.size : length]
        raw = raw[length + -length % 4 :]
    return found


@dataclass(frozen=True, slots=True)
class Spot:
    """A qdisc's place: in which device, below which class, and under which handle."""

    ifindex: int
    parent: int
    handle: int


def parted(spot: Spot, limit_bytes: int, whole_bytes: int) -> bytes:
    """Body of a message for a token bucket that holds nothing back, for the one thing that no fifo does: it takes apart
    aggregates larger than `whole_bytes`. It passes the limit on to the fifo in it, which keeps what it holds."""
    return paced(spot, limit_bytes, UNBOUND_BYTES_PER_S, whole_bytes)


def paced(spot: Spot, limit_bytes: int, bytes_per_s: int, whole_bytes: int) -> bytes:
    """Of one that lets so many bytes a second go."""
    rate = ETHERNET + struct.pack("=I", min(bytes_per_s, U32))  # the kernel takes the larger of this and TBF_RATE64
    options = attribute(TBF_PARMS, rate + bytes(len(rate)) + struct.pack("=III", limit_bytes, 0, 0))
    options += attribute(TBF_RATE64, struct.pack("=Q", bytes_per_s))
    options += attribute(TBF_BURST, struct.pack("=I", whole_bytes))
    return _body(spot) + attribute(TCA_KIND, b"tbf\0") + attribute(TCA_OPTIONS, options)


def fifo(spot: Spot, limit_bytes: int) -> bytes:
    return _body(spot) + attribute(TCA_KIND, b"bfifo\0") + attribute(TCA_OPTIONS, struct.pack("=I", limit_bytes))


def _body(spot: Spot) -> bytes:
    return _TCMSG.pack(socket.AF_UNSPEC, spot.ifindex, spot.handle, spot.parent, 0)


def limit_of(bucket: Message) -> int:
    """What the kernel says a bucket of `parted` has."""
    parameters = attributes(bucket.attributes.get(TCA_OPTIONS, b"")).get(TBF_PARMS, b"")
    return int.from_bytes(parameters[_LIMIT_AT : _LIMIT_AT + 4], "little") if parameters else -1


class Rtnl:
    """A route netlink socket in the network namespace of the thread that opens it."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._socket.bind((0, 0))
        self._socket.settimeout(PATIENCE_S)
        self._sequence = 0
        weakref.finalize(self, self._socket.close)

    def change(self, bodies: Sequence[bytes], *, make: bool = False) -> tuple[dict[int, Message], Exception | None]:
        """Change (or make) all these qdiscs in one write; what the kernel then has, by parent, and its first refusal.

        NLM_F_ECHO makes it answer each change with the resulting object, so that reading back costs no second question.
        """
        found, refused = self._ask(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE if make else 0, bodies)
        return found, _error(refused, "changing the queue's limits") if refused else None

    def leaves(self, spots: Sequence[Spot]) -> dict[int, Leaf]:
        """The fifos that stand at these places, by parent; a dump would list those of every device of the node."""
        found, refused = self._ask(RTM_GETQDISC, 0, [_body(each) for each in spots])
        if refused not in {0, errno.ENOENT, errno.EINVAL}:  # there is no such class, or no qdisc of this handle in it
            raise _error(refused, "reading the queue")
        return {parent: _leaf(message) for parent, message in found.items()}

    def standing(self, indices: Collection[int]) -> list[Message]:
        """Every qdisc of these devices. The kernel lists those of all; only these are taken apart."""
        self._send([(RTM_GETQDISC, NLM_F_REQUEST | NLM_F_DUMP, _body(Spot(0, 0, 0)))])
        found: list[Message] = []
        while True:
            for answer, sequence, payload in self._receive():
                if sequence != self._sequence:
                    continue
                if answer == NLMSG_DONE:
                    return found
                if answer == NLMSG_ERROR:
                    raise _error(-struct.unpack_from("=i", payload)[0], "listing queues")
                if _TCMSG.unpack_from(payload)[1] in indices:
                    found.append(_message(answer, payload))

    def mtu(self, index: int) -> int:
        """Zero where the device is gone."""
        try:
            return _mtu(self._socket, socket.if_indextoname(index))
        except OSError:
            return 0

    def _ask(self, kind: int, flags: int, bodies: Sequence[bytes]) -> tuple[dict[int, Message], int]:
        """Answers by parent, and the first error."""
        if not bodies:
            return {}, 0
        first = self._sequence + 1
        self._send([(kind, NLM_F_REQUEST | NLM_F_ACK | NLM_F_ECHO | flags, body) for body in bodies])
        pending = set(range(first, first + len(bodies)))
        answers: dict[int, Message] = {}
        refused = 0
        while pending:
            for answer, sequence, payload in self._receive():
                if sequence < first:
                    continue
                if answer == NLMSG_ERROR:
                    refused = refused or -struct.unpack_from("=i", payload)[0]
                    pending.discard(sequence)
                elif answer == RTM_NEWQDISC:
                    message = _message(answer, payload)
                    answers[message.parent] = message
        return answers, refused

    def _send(self, messages: Sequence[tuple[int, int, bytes]]) -> None:
        batch = bytearray()
        for kind, flags, body in messages:
            self._sequence += 1
            batch += _HEADER.pack(_HEADER.size + len(body), kind, flags, self._sequence, 0) + body
        self._socket.send(batch)

    def _receive(self) -> Iterator[tuple[int, int, bytes]]:
        try:
            raw = self._socket.recv(ANSWER_BYTES)
        except TimeoutError as cause:
            raise Transient(f"the kernel gave no netlink answer within {PATIENCE_S:g} s") from cause
        except OSError as cause:
            raise _error(cause.errno or 0, "waiting for netlink") from cause
        while len(raw) >= _HEADER.size:
            length, kind, _, sequence, _ = _HEADER.unpack_from(raw)
            yield kind, sequence, raw[_HEADER.size : length]
            raw = raw[length + -length % 4 :]


def largest_frame(device: str) -> int:
    """With its link header; zero where there is no such device."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as asking:
        try:
            return _mtu(asking, device) + LINK_HEADER_BYTES
        except OSError:
            return 0


def _mtu(asking: socket.socket, device: str) -> int:
    answer = fcntl.ioctl(asking, SIOCGIFMTU, struct.pack("=16si20x", device.encode(), 0))
    return int.from_bytes(answer[16:20], "little")


def _message(kind: int, payload: bytes) -> Message:
    _, ifindex, handle, parent, _ = _TCMSG.unpack_from(payload)
    return Message(kind, ifindex, handle, parent, attributes(payload[_TCMSG.size :]))


def _leaf(message: Message) -> Leaf:
    stats = attributes(message.attributes.get(TCA_STATS2, b""))
    sent_bytes, sent_packets = struct.unpack_from("=QI", stats.get(STATS_BASIC, bytes(12)))
    if STATS_PKT64 in stats:
        (sent_packets,) = struct.unpack_from("=Q", stats[STATS_PKT64])
    packets, backlog, drops = struct.unpack_from("=III", stats.get(STATS_QUEUE, bytes(12)))
    limit = int.from_bytes(message.attributes.get(TCA_OPTIONS, b"")[:4], "little")
    return Leaf(limit, sent_bytes, sent_packets, packets, backlog, drops)


def _error(number: int, doing: str) -> Exception:
    said = f"{doing}: {os.strerror(number)}"
    if number in {errno.EPERM, errno.EACCES, errno.EOPNOTSUPP}:
        return Unsupported(said)
    return Transient(said)
