"""Two balancers, two nodes and two backends stand as their topology says, and are gone with their block."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from sentinel_lab.fleet import VIP, fleet
from sentinel_lab.namespaces import NAMES
from sentinel_lab.topology import RECEIVER, SENDER, built
from support.netns import need_data_plane

if TYPE_CHECKING:
    from sentinel_lab.namespaces import Namespace

PORT = 9_101
PATIENCE_S = 60.0


@pytest.fixture(autouse=True)
def _able() -> None:
    need_data_plane()


def inside(space: Namespace, address: str = "") -> socket.socket:
    with space.entered():
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind((address, PORT if address else 0))
    made.settimeout(0.5)
    return made


def sent(here: socket.socket, what: bytes, whom: tuple[str, int], there: socket.socket) -> bytes:
    """Until it comes: the ports of a switch take part a moment after they were plugged in."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        here.sendto(what, whom)
        with suppress(TimeoutError):
            return there.recv(100)
    return b""


def test_each_node_knows_the_way_to_a_backend_and_the_sender_to_each_balancer():
    with built(fleet(2, balancers=2, backends=2)) as spaces:
        assert {"edge1", "edge2", "node1", "node2", RECEIVER, "backend2", SENDER} <= set(spaces)
        for node, backend in (("node1", RECEIVER), ("node2", "backend2")):
            with inside(spaces[backend], VIP) as there, inside(spaces[node]) as here:
                assert sent(here, node.encode(), (VIP, PORT), there) == node.encode()
        for edge, address in (("edge1", "10.78.0.10"), ("edge2", "10.78.0.11")):
            with inside(spaces[edge], address) as there, inside(spaces[SENDER]) as here:
                assert sent(here, edge.encode(), (address, PORT), there) == edge.encode()
    assert not [each for each in NAMES.iterdir() if each.name.startswith(f"sn-{os.getpid()}-")]
