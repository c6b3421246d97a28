"""Two sites are as far apart as their topology says, both ways, and the link between them is no faster than it says."""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

import pytest

from sentinel_lab.topology import EAST, EAST_ADDRESS, TWO_SITES, WEST, WEST_ADDRESS, built
from support.netns import need_data_plane

if TYPE_CHECKING:
    from sentinel_lab.namespaces import Namespace

PORT = 9_100
WAN = next(link for link in TWO_SITES.links if link.delay_ms)
PATIENCE_S = 60.0
SO_RCVBUFFORCE = 33
FRAME_BYTES = 14 + 20 + 8 + 1_400
FRAMES = 200  # the default queue of a class holds a thousand


@pytest.fixture(autouse=True)
def _able() -> None:
    need_data_plane()


def inside(space: Namespace, address: str) -> socket.socket:
    with space.entered():
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)  # all may come before the first is read
        made.bind((address, PORT))
    made.settimeout(PATIENCE_S)
    return made


def test_no_packet_is_sooner_or_faster_than_the_link_lets_it_be():
    """Only from below: what a busy machine adds is its own affair."""
    with (
        built(TWO_SITES) as spaces,
        inside(spaces[WEST], WEST_ADDRESS) as west,
        inside(spaces[EAST], EAST_ADDRESS) as east,
    ):
        for here, there, address in ((west, east, EAST_ADDRESS), (east, west, WEST_ADDRESS)):
            began_ns = time.monotonic_ns()
            here.sendto(b"first", (address, PORT))
            assert there.recv(100) == b"first"
            assert (time.monotonic_ns() - began_ns) / 1e6 >= WAN.delay_ms
        began_ns = time.monotonic_ns()
        for _ in range(FRAMES):
            west.sendto(bytes(1_400), (EAST_ADDRESS, PORT))
        for _ in range(FRAMES):
            assert len(east.recv(2_000)) == 1_400
        took_s = (time.monotonic_ns() - began_ns) / 1e9
        at_once = WAN.bytes_per_s * 0.002 + FRAME_BYTES
        assert took_s >= WAN.delay_ms / 1000 + (FRAMES * FRAME_BYTES - at_once) / WAN.bytes_per_s
