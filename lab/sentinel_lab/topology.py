"""Topologies as data: which namespaces there are, how they are joined, and that nothing of them stays behind."""

from __future__ import annotations

import os
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sentinel_lab.namespaces import Namespace, remove_leftovers, require_root, run

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True, slots=True)
class End:
    role: str
    device: str
    address: str  # with prefix length


@dataclass(frozen=True, slots=True)
class Link:
    left: End
    right: End
    mtu: int = 1500


@dataclass(frozen=True, slots=True)
class Route:
    role: str
    destination: str
    via: str


@dataclass(frozen=True, slots=True)
class Topology:
    name: str
    links: tuple[Link, ...]
    routes: tuple[Route, ...] = ()
    routers: tuple[str, ...] = ()

    @property
    def roles(self) -> tuple[str, ...]:
        ends = (end for link in self.links for end in (link.left, link.right))
        return tuple(dict.fromkeys(end.role for end in ends))


SENDER, NODE, RECEIVER = "sender", "node", "receiver"
NODE_DEVICE = "front"
RECEIVER_ADDRESS = "10.77.2.2"

SINGLE_BOTTLENECK = Topology(
    name="single-bottleneck",
    links=(
        Link(End(SENDER, "out", "10.77.1.2/24"), End(NODE, NODE_DEVICE, "10.77.1.1/24")),
        Link(End(NODE, "back", "10.77.2.1/24"), End(RECEIVER, "in", f"{RECEIVER_ADDRESS}/24")),
    ),
    routes=(Route(SENDER, "10.77.2.0/24", "10.77.1.1"), Route(RECEIVER, "10.77.1.0/24", "10.77.2.1")),
    routers=(NODE,),
)


@contextmanager
def built(topology: Topology) -> Iterator[Mapping[str, Namespace]]:
    """The topology, alive; torn down whatever happens inside. What a dead process left is removed first."""
    require_root()
    remove_leftovers()
    spaces = {role: Namespace(role, os.getpid()) for role in topology.roles}
    try:
        for space in spaces.values():
            space.create()
        for link in topology.links:
            _join(spaces, link)
        for role in topology.routers:
            run("ip", "netns", "exec", spaces[role].name, "sysctl", "-qw", "net.ipv4.ip_forward=1")
        for route in topology.routes:
            spaces[route.role].ip("route", "add", route.destination, "via", route.via)
        yield spaces
    finally:
        for space in spaces.values():
            space.remove()


def _join(spaces: Mapping[str, Namespace], link: Link) -> None:
    left, right = spaces[link.left.role], spaces[link.right.role]
    peer = ("peer", "name", link.right.device, "netns", right.name)
    left.ip("link", "add", link.left.device, "type", "veth", *peer)
    for space, end in ((left, link.left), (right, link.right)):
        space.ip("link", "set", end.device, "mtu", str(link.mtu), "up")
        space.ip("address", "add", end.address, "dev", end.device)
