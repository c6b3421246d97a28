"""SYNs as a flood sends them: whole TCP headers from forged addresses and ports, with checksums that hold."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING, Final

import numpy as np

from sentinel_lab.traffic.frames import Batch

if TYPE_CHECKING:
    import numpy.typing as npt

IP_BYTES, TCP_BYTES = 20, 40
SYN_BYTES: Final = IP_BYTES + TCP_BYTES
FORGED: Final = int.from_bytes(socket.inet_aton("198.18.0.0"), "big")
"""The range that RFC 2544 keeps for measurements: nobody is there to be hit by an answer."""
FORGED_HOSTS: Final = 1 << 17
EPHEMERAL: Final = (32_768, 61_000)
OPTIONS: Final = bytes.fromhex("020405b40402080a000000010000000001030307")
"""MSS 1460, SACK, timestamps, window scale 7."""
SYN: Final = 0x02
WINDOW: Final = 64_240
IP_DESTINATION, TCP_SOURCE, TCP_DESTINATION = 16, 20, 22
TCP_SUM: Final = slice(36, 38)


class Syns:
    """Satisfies what a source asks of its packets; nothing in a SYN says when it left."""

    def __init__(self, count: int, address: str, port: int, seed: int) -> None:
        self.batch = Batch(count, SYN_BYTES)
        self._random = np.random.default_rng(seed)
        header = bytes((0x45, 0, 0, SYN_BYTES, 0, 0, 0x40, 0, 64, socket.IPPROTO_TCP, 0, 0, 0, 0, 0, 0))
        header += socket.inet_aton(address) + bytes(2) + port.to_bytes(2, "big") + bytes(8)
        header += bytes((TCP_BYTES << 2, SYN)) + WINDOW.to_bytes(2, "big") + bytes(4) + OPTIONS
        self.batch.block[:] = np.frombuffer(header, np.uint8)

    def fill(self, first: int, due_ns: npt.NDArray[np.uint64]) -> int:
        count = due_ns.size
        rows = self.batch.block[:count]
        sources = (FORGED + self._random.integers(0, FORGED_HOSTS, count)).astype(">u4")
        ports = self._random.integers(*EPHEMERAL, count).astype(">u2")
        rows[:, 12:16] = sources.view(np.uint8).reshape(count, 4)
        rows[:, 20:22] = ports.view(np.uint8).reshape(count, 2)
        rows[:, 24:28] = np.arange(first, first + count, dtype=np.uint32).astype(">u4").view(np.uint8).reshape(count, 4)
        rows[:, TCP_SUM] = 0
        rows[:, TCP_SUM] = checksums(rows).astype(">u2").view(np.uint8).reshape(count, 2)
        return time.monotonic_ns()


def checksums(rows: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint32]:
    """Of the TCP headers with their pseudo headers; 0 where the one that is in them holds."""
    words = np.ascontiguousarray(rows[:, 12:]).view(">u2").astype(np.uint32)
    total = words.sum(axis=1, dtype=np.uint32) + np.uint32(socket.IPPROTO_TCP + TCP_BYTES)
    for _ in range(2):
        total = (total & np.uint32(0xFFFF)) + (total >> np.uint32(16))
    found: npt.NDArray[np.uint32] = ~total & np.uint32(0xFFFF)
    return found


def outlet(address: str) -> socket.socket:
    """Takes whole packets, and makes of them only what IP adds on the way out: length, identity, checksum."""
    made = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    made.connect((address, 0))
    return made


def counted(rows: npt.NDArray[np.uint8], ports: tuple[int, ...]) -> dict[int, int]:
    """How many of these packets, as a raw socket gives them, are SYNs to each of the ports."""
    to = rows[:, TCP_DESTINATION].astype(np.uint32) << 8 | rows[:, TCP_DESTINATION + 1]
    asks = rows[:, 33] == SYN
    return {port: int((asks & (to == port)).sum()) for port in ports}
