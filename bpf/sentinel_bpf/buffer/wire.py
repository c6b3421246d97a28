"""The few netlink messages the tick sends, built once and spoken over a plain socket.

pyroute2 builds and parses at about a millisecond for a handful of messages; a tick that changes sixteen limits cannot
afford that. Setup, where it does not matter, still goes through pyroute2.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sentinel_api.errors import Transient, Unsupported

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_HEADER = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_TCMSG = struct.Struct("=BxxxiIII")  # tcmsg: family, ifindex, handle, parent, info
_ATTRIBUTE = struct.Struct("=HH")

RTM_NEWQDISC = 36
RTM_GETTCLASS = 42
NLMSG_ERROR = 2
NLMSG_DONE = 3
NLM_F_REQUEST = 0x1
NLM_F_ACK = 0x4
NLM_F_ECHO = 0x8
NLM_F_DUMP = 0x300

TCA_KIND = 1
TCA_OPTIONS = 2
TCA_STATS2 = 7
STATS_BASIC = 1
STATS_QUEUE = 3
STATS_PKT64 = 8

ANSWER_BYTES = 1 << 16
PATIENCE_S = 2.0  # the kernel answers in microseconds unless another holds the RTNL lock


@dataclass(frozen=True, slots=True)
class Message:
    kind: int
    ifindex: int
    handle: int
    parent: int
    attributes: dict[int, bytes]


@dataclass(frozen=True, slots=True)
class ClassStats:
    """Raw counters of one HTB class; the 32-bit ones wrap."""

    handle: int
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


def fifo_limit(ifindex: int, parent: int, handle: int, limit_bytes: int) -> bytes:
    """Body of a message that changes the limit of the bfifo at `parent`; the kernel keeps what stands in it."""
    return (
        _TCMSG.pack(socket.AF_UNSPEC, ifindex, handle, parent, 0)
        + attribute(TCA_KIND, b"bfifo\0")
        + attribute(TCA_OPTIONS, struct.pack("=I", limit_bytes))
    )


class Rtnl:
    """A route netlink socket in the network namespace of the thread that opens it."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._socket.bind((0, 0))
        self._socket.settimeout(PATIENCE_S)
        self._sequence = 0
        weakref.finalize(self, self._socket.close)

    def change(self, bodies: Sequence[bytes]) -> dict[int, Message]:
        """Send all bodies as RTM_NEWQDISC in one write; what the kernel then has, by parent.

        NLM_F_ECHO makes it answer each change with the resulting object, so that reading back costs no second question.
        """
        flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_ECHO
        first = self._sequence + 1
        self._send([(RTM_NEWQDISC, flags, body) for body in bodies])
        pending = set(range(first, first + len(bodies)))
        echoed: dict[int, Message] = {}
        refused = 0
        while pending:
            for kind, sequence, payload in self._receive():
                if sequence < first:
                    continue
                if kind == NLMSG_ERROR:
                    refused = refused or -struct.unpack_from("=i", payload)[0]
                    pending.discard(sequence)
                elif kind == RTM_NEWQDISC:
                    message = _message(kind, payload)
                    echoed[message.parent] = message
        if refused:
            raise _error(refused, "changing the queue's limits")
        return echoed

    def classes(self, ifindex: int) -> list[ClassStats]:
        """Counters of every traffic class of a device, in one dump."""
        body = _TCMSG.pack(socket.AF_UNSPEC, ifindex, 0, 0, 0)
        self._send([(RTM_GETTCLASS, NLM_F_REQUEST | NLM_F_DUMP, body)])
        asked = self._sequence
        found: list[ClassStats] = []
        while True:
            for kind, sequence, payload in self._receive():
                if sequence != asked:
                    continue
                if kind == NLMSG_ERROR:
                    raise _error(-struct.unpack_from("=i", payload)[0], "reading the queue")
                if kind == NLMSG_DONE:
                    return found
                found.append(_class_stats(_message(kind, payload)))

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


def _message(kind: int, payload: bytes) -> Message:
    _, ifindex, handle, parent, _ = _TCMSG.unpack_from(payload)
    return Message(kind, ifindex, handle, parent, attributes(payload[_TCMSG.size :]))


def _class_stats(message: Message) -> ClassStats:
    stats = attributes(message.attributes.get(TCA_STATS2, b""))
    sent_bytes, sent_packets = struct.unpack_from("=QI", stats.get(STATS_BASIC, bytes(12)))
    if STATS_PKT64 in stats:
        (sent_packets,) = struct.unpack_from("=Q", stats[STATS_PKT64])
    packets, backlog, drops = struct.unpack_from("=III", stats.get(STATS_QUEUE, bytes(12)))
    return ClassStats(message.handle, sent_bytes, sent_packets, packets, backlog, drops)


def _error(number: int, doing: str) -> Exception:
    said = f"{doing}: {os.strerror(number)}"
    if number in {errno.EPERM, errno.EACCES, errno.EOPNOTSUPP}:
        return Unsupported(said)
    return Transient(said)
