"""Topologies as data: which namespaces there are, how they are joined, and that nothing of them stays behind."""

from __future__ import annotations

import os
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sentinel_lab.delay import Way, delayed
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
    delay_ms: float = 0.0
    """Each way, of what is routed over it by the other end's address."""
    bytes_per_s: int = 0
    """Each way; 0 is as fast as the machine."""


@dataclass(frozen=True, slots=True)
class Route:
    role: str
    destination: str
    via: str


@dataclass(frozen=True, slots=True)
class Segment:
    """A switch in a namespace of its own, and who is plugged into it."""

    name: str
    ends: tuple[End, ...]


@dataclass(frozen=True, slots=True)
class Topology:
    name: str
    links: tuple[Link, ...] = ()
    routes: tuple[Route, ...] = ()
    routers: tuple[str, ...] = ()
    segments: tuple[Segment, ...] = ()
    services: tuple[End, ...] = ()
    """Addresses that several may have: they answer for them and do not announce them."""

    @property
    def roles(self) -> tuple[str, ...]:
        ends = [end for link in self.links for end in (link.left, link.right)]
        ends += [end for segment in self.segments for end in segment.ends]
        return (*dict.fromkeys(end.role for end in ends), *(each.name for each in self.segments))


SENDER, NODE, RECEIVER = "sender", "node", "receiver"
NODE_DEVICE = "front"
RECEIVER_ADDRESS = "10.77.2.2"
OBJECTS = Path(__file__).parents[2] / "bpf" / "build"
PASSING = OBJECTS / "test" / "other.bpf.o"  # a veth takes back what XDP sends only from a peer that runs XDP, too

SINGLE_BOTTLENECK = Topology(
    name="single-bottleneck",
    links=(
        Link(End(SENDER, "out", "10.77.1.2/24"), End(NODE, NODE_DEVICE, "10.77.1.1/24")),
        Link(End(NODE, "back", "10.77.2.1/24"), End(RECEIVER, "in", f"{RECEIVER_ADDRESS}/24")),
    ),
    routes=(Route(SENDER, "10.77.2.0/24", "10.77.1.1"), Route(RECEIVER, "10.77.1.0/24", "10.77.2.1")),
    routers=(NODE,),
)
WAY_BACK = Way("10.77.1.0/24", "10.77.2.1", "in")
"""What the receiver sends: acknowledgements and nothing else."""

WEST, WEST_NODE, EAST_NODE, EAST = "west", "westnode", "eastnode", "east"
WEST_ADDRESS, EAST_ADDRESS = "10.81.1.2", "10.81.2.2"
TWO_SITES = Topology(
    name="two-sites",
    links=(
        Link(End(WEST, "out", f"{WEST_ADDRESS}/24"), End(WEST_NODE, NODE_DEVICE, "10.81.1.1/24")),
        # As between two regions of a cloud: twenty milliseconds each way, and less room than on either side of it.
        Link(
            End(WEST_NODE, "wan", "10.81.0.1/24"), End(EAST_NODE, "wan", "10.81.0.2/24"), delay_ms=20.0,
            bytes_per_s=5_000_000,
        ),
        Link(End(EAST_NODE, NODE_DEVICE, "10.81.2.1/24"), End(EAST, "out", f"{EAST_ADDRESS}/24")),
    ),
    routes=(
        Route(WEST, "10.81.2.0/24", "10.81.1.1"),
        Route(WEST_NODE, "10.81.2.0/24", "10.81.0.2"),
        Route(EAST_NODE, "10.81.1.0/24", "10.81.0.1"),
        Route(EAST, "10.81.1.0/24", "10.81.2.1"),
    ),
    routers=(WEST_NODE, EAST_NODE),
)  # fmt: skip
LINK_TOKENS_S = 0.002
LEAST_TOKENS = 1_600  # a frame with its header: with less none would ever pass


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
        for segment in topology.segments:
            _plug(spaces, segment)
        for role in topology.routers:
            sysctl(spaces[role], "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
        for end in topology.services:
            sysctl(spaces[end.role], "net.ipv4.conf.all.arp_ignore=1", "net.ipv4.conf.all.arp_announce=2")
            known = (
                ("nodad",) if ":" in end.address else ()
            )  # nobody else has it, and nobody need wait until that is found
            spaces[end.role].ip("address", "add", end.address, "dev", end.device, *known)
        for route in topology.routes:
            spaces[route.role].ip("route", "add", route.destination, "via", route.via)
        with ExitStack() as lines:
            for link in topology.links:
                for way in _delayed_ways(topology, link):
                    lines.enter_context(delayed(spaces[way.role], way.way, link.delay_ms))
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
        if link.bytes_per_s:
            _slow(space, end.device, link.bytes_per_s)


def _slow(space: Namespace, device: str, bytes_per_s: int) -> None:
    tokens = str(max(LEAST_TOKENS, int(bytes_per_s * LINK_TOKENS_S)))
    rate = ("rate", f"{bytes_per_s * 8}bit", "burst", tokens, "cburst", tokens)
    run("tc", "-n", space.name, "qdisc", "add", "dev", device, "root", "handle", "1:", "htb", "default", "1")
    run("tc", "-n", space.name, "class", "add", "dev", device, "parent", "1:", "classid", "1:1", "htb", *rate)


@dataclass(frozen=True, slots=True)
class _DelayedWay:
    role: str
    way: Way


def _delayed_ways(topology: Topology, link: Link) -> Iterator[_DelayedWay]:
    """Each end's routes by way of the other."""
    if not link.delay_ms:
        return
    for near, far in ((link.left, link.right), (link.right, link.left)):
        gateway = far.address.partition("/")[0]
        for route in topology.routes:
            if (route.role, route.via) == (near.role, gateway):
                yield _DelayedWay(near.role, Way(route.destination, gateway, near.device))


def _plug(spaces: Mapping[str, Namespace], segment: Segment) -> None:
    """Tunnels arrive from addresses that no route leads back to, and sums must be whole before XDP sends on."""
    switch = spaces[segment.name]
    switch.ip("link", "add", "switch", "type", "bridge")
    switch.ip("link", "set", "switch", "up")
    for end in segment.ends:
        space, port = spaces[end.role], f"to-{end.role}"
        sysctl(space, "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0")
        space.ip("link", "add", end.device, "type", "veth", "peer", "name", port, "netns", switch.name)
        run("ip", "netns", "exec", space.name, "ethtool", "-K", end.device, "tx", "off")
        switch.ip("link", "set", port, "master", "switch", "up")
        switch.ip("link", "set", port, "xdp", "obj", str(PASSING), "sec", "xdp")
        space.ip("link", "set", end.device, "up")
        space.ip("address", "add", end.address, "dev", end.device)


def sysctl(space: Namespace, *settings: str) -> None:
    run("ip", "netns", "exec", space.name, "sysctl", "-qw", *settings)
