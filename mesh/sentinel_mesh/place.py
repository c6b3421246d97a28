"""Where a process stands in the mesh: its name, its endpoints, whom it dials, and who may speak to it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sentinel_api.errors import Invalid
from sentinel_api.v1alpha1.meshzones import MeshZones
from sentinel_mesh.credentials import read
from sentinel_mesh.keys import checked_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sentinel_mesh.credentials import Credentials


def listed(env: Mapping[str, str], name: str) -> tuple[str, ...]:
    """What stands in a variable, separated by commas."""
    return tuple(each.strip() for each in env.get(name, "").split(",") if each.strip())


def file_of(env: Mapping[str, str], what: str) -> Path | None:
    """Where the mesh's members or zones are written; None where nowhere."""
    text = env.get(f"SENTINEL_MESH_{what}_FILE", "")
    return Path(text) if text else None


_ENDPOINT: Final = re.compile(r"(tcp|tls)/(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+):([0-9]{1,5})")


@dataclass(frozen=True, slots=True)
class Place:
    """Give every node the same list of `peers`, itself among them: then one end of each pair dials the other. Where
    both dial (each list leaves its own node out) one connection results as well, but Zenoh up to 1.10 at times leaves
    such a pair half deaf after one end was stopped for longer than the lease (eclipse-zenoh/zenoh#2806).

    `attentive` processes listen for beats, five times as many as states: balancers, who must notice a death at once.
    `alarms_only` processes hear alarms and shares, and no states: agents of a large cluster, to whom a thousand states
    ten times a second say nothing. With `routers` a process listens nowhere and is a client of the first that answers:
    beyond some tens of nodes, where everybody's connection to everybody costs too much.
    With `credentials` all endpoints are tls/…, and nobody without a certificate of the same authority is let in.
    `members` are the only names that are let speak, each under its own; None: whoever has a certificate, under any.
    """

    cluster: str
    node: str
    incarnation: int
    listen: tuple[str, ...]
    peers: tuple[str, ...] = ()
    attentive: bool = False
    alarms_only: bool = False
    routers: tuple[str, ...] = ()
    credentials: Credentials | None = None
    members: tuple[str, ...] | None = None
    roll: Path | None = None
    """A file that names the members, one a line, for who comes and goes while the process runs."""
    zone: str = ""
    """Its members hear each other, and of other zones their sums, which the zone's routers make; it is a member's name
    too, and stands in its routers' certificates."""
    wide: bool = False
    """It hears the members of every zone."""
    zones: Path | None = None
    """A file (MeshZones) that says which zone this node is in, who its routers are, and whether it listens wide."""
    chart: MeshZones | None = None
    """What stands in it."""
    beyond: tuple[tuple[str, str], ...] = ()
    """Zone and name of whom it hears in other zones: the other balancers, since they share addresses with this one."""

    def __post_init__(self) -> None:
        scheme = "tls" if self.credentials else "tcp"
        for endpoint in (*self.listen, *self.peers, *self.routers):
            match = _ENDPOINT.fullmatch(endpoint)
            if not match or not 0 < int(match[3]) < 65_536:
                raise Invalid(f"{endpoint!r} is no endpoint of the mesh: write {scheme}/ADDRESS:PORT")
            if match[1] != scheme:
                why = "a mesh with certificates speaks tls" if self.credentials else "tls needs certificates"
                raise Invalid(f"{endpoint!r} does not fit: {why}, so write {scheme}/ADDRESS:PORT")
        if (self.members is not None or self.roll is not None) and self.credentials is None:
            raise Invalid("members of the mesh are told apart by their certificates: give certificates, or no members")
        if (self.routers or self.zones) and (self.listen or self.peers):
            raise Invalid("a client of routers needs no endpoint of its own and no peers: give routers, or the others")
        for name in (*(self.members or ()), *((self.zone,) if self.zone else ())):
            checked_name(name, "node")

    def called(self) -> Place:
        """As the files say now: its members by the roll, its zone by the zones. Raises Invalid where one of them cannot
        be read, or a roll names nobody."""
        place = self if self.roll is None else replace(self, members=_names(self.roll))
        if self.zones is None:
            return place
        found = zones_in(self.zones)
        own = found.of(self.node)
        if own is None:
            return replace(place, zone="", routers=())
        beyond = () if found.wide or not self.attentive else _others_in(found, own.name)
        return replace(place, zone=own.name, routers=own.routers, wide=found.wide, chart=found, beyond=beyond)

    @property
    def nowhere(self) -> bool:
        """The writer of the zones does not know this node yet."""
        return self.zones is not None and not self.routers

    @property
    def dialled(self) -> tuple[str, ...]:
        """Of a list that names this node too, those before it."""
        own = [each for each in self.peers if each in self.listen]
        return tuple(each for each in self.peers if not own or each < min(own))

    @property
    def ports(self) -> frozenset[int]:
        """Of every endpoint that is listened on or dialled."""
        return frozenset(int(each.rpartition(":")[2]) for each in (*self.listen, *self.peers, *self.routers))

    @property
    def ears(self) -> tuple[object, ...]:
        """What it listens to; where that changes, nothing is to be expected of those heard before."""
        return self.zone, self.wide, self.beyond

    @property
    def others(self) -> tuple[str, ...]:
        return tuple(each for each in self.peers if each not in self.listen)


def zones_in(file: Path) -> MeshZones:
    return MeshZones.read(read(file, "zones").decode(errors="replace"))


def _others_in(found: MeshZones, own: str) -> tuple[tuple[str, str], ...]:
    zones = ((found.zone_of.get(name, own), name) for name in found.edges)
    return tuple(sorted((zone, name) for zone, name in zones if zone != own))


def _names(roll: Path) -> tuple[str, ...]:
    names = sorted(set(read(roll, "members").decode(errors="replace").split()))
    if not names:
        raise Invalid(f"{roll} names nobody: write the members of the mesh into it, one a line")
    return tuple(names)
