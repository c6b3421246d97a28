"""Where a process stands in the mesh: its name, its endpoints, whom it dials, and who may speak to it."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sentinel_api.errors import Invalid
from sentinel_mesh.credentials import read
from sentinel_mesh.keys import checked_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sentinel_mesh.credentials import Credentials


def listed(env: Mapping[str, str], name: str) -> tuple[str, ...]:
    """What stands in a variable, separated by commas."""
    return tuple(each.strip() for each in env.get(name, "").split(",") if each.strip())


def roll_of(env: Mapping[str, str]) -> Path | None:
    text = env.get("SENTINEL_MESH_MEMBERS_FILE", "")
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
        if self.routers and (self.listen or self.peers):
            raise Invalid("a client of routers needs no endpoint of its own and no peers: give routers, or the others")
        for name in (*(self.members or ()), *((self.zone,) if self.zone else ())):
            checked_name(name, "node")

    def called(self) -> Place:
        """With the members that the roll names now. Raises Invalid where it cannot be read or names none."""
        if self.roll is None:
            return self
        names = sorted(set(read(self.roll, "members").decode(errors="replace").split()))
        if not names:
            raise Invalid(f"{self.roll} names nobody: write the members of the mesh into it, one a line")
        return replace(self, members=tuple(names))

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
    def others(self) -> tuple[str, ...]:
        return tuple(each for each in self.peers if each not in self.listen)
