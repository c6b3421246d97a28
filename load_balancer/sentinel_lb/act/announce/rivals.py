"""Others on a segment that have one of our addresses, or say so: a balancer that lives though the mesh is silent about
it, or one that took us for gone, for a moment.

Whoever's kernel holds an address answers for it, however busy its processes are. IPv4 only: an address of IPv6 is taken
unasked, and told again after a while.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import time
from collections import deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

ARP: Final = 0x0806
OUTGOING: Final = 4  # PACKET_OUTGOING: our own
MOST: Final = 64
"""Frames in one look, however many there are: the next look reads on."""

ANSWER_S: Final = 0.03
"""A neighbour's kernel answers within a millisecond; a fail-over waits so long for one that is gone."""

APART_NS: Final = 1_000_000_000
"""Between two answers to a claim, so that the last one comes when who was wrong for a moment has said it all."""

ANSWERS: Final = 3
WITHIN_NS: Final = 10_000_000_000
"""Who goes on claiming thinks himself in the right: then neighbours must not be turned to and fro each second."""


class Rivals:
    """Hears while open."""

    def __init__(self, device: str) -> None:
        self._ear = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ARP))
        self._ear.setblocking(False)
        self._ear.bind((device, ARP))
        self._claimed: dict[str, str] = {}
        self._answered: dict[str, deque[int]] = {}

    def close(self) -> None:
        self._ear.close()

    def holders(self, addresses: Collection[str]) -> dict[str, str]:
        """Who has these, by hardware address: asked of everybody now."""
        asked = {address for address in addresses if ":" not in address}
        found: dict[str, str] = {}
        if not asked:
            return found
        dict(self._claims())  # what was said before is no answer
        with contextlib.suppress(OSError):  # while the link is down nobody answers
            for address in asked:
                self._ear.send(question(address, self._ear.getsockname()[4]))
        ends = time.monotonic() + ANSWER_S
        while found.keys() != asked and (left := ends - time.monotonic()) > 0:
            select.select([self._ear], [], [], left)
            found |= {address: mac for address, mac in self._claims() if address in asked}
        return found

    def to_answer(self, held: Collection[str], now_ns: int) -> dict[str, str]:
        """Which of our addresses are to be answered for now, and who claimed them."""
        self._claimed |= {address: mac for address, mac in self._claims() if address in held}
        ripe = {address: mac for address, mac in self._claimed.items() if self._ripe(address, now_ns)}
        for address in ripe:
            del self._claimed[address]
            self._answered.setdefault(address, deque(maxlen=ANSWERS)).append(now_ns)
        return {address: mac for address, mac in ripe.items() if address in held}

    def _ripe(self, address: str, now_ns: int) -> bool:
        answered = self._answered.get(address)
        if not answered:
            return True
        return now_ns - answered[-1] >= APART_NS and (len(answered) < ANSWERS or now_ns - answered[0] >= WITHIN_NS)

    def _claims(self) -> Iterator[tuple[str, str]]:
        """Addresses, and the hardware addresses that they are said to be at."""
        with contextlib.suppress(OSError):  # nothing more, or the link went down
            for _ in range(MOST):
                frame, sender = self._ear.recvfrom(64)
                if sender[2] != OUTGOING and len(frame) >= 42:
                    yield socket.inet_ntop(socket.AF_INET, frame[28:32]), frame[22:28].hex(":")


def question(address: str, mac: bytes) -> bytes:
    """Who has it? From nobody's address, so that nobody learns anything by it (RFC 5227)."""
    request = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + mac + bytes(4) + bytes(6) + socket.inet_aton(address)
    return b"\xff" * 6 + mac + struct.pack("!H", ARP) + request
