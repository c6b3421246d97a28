"""How a process joins the mesh, as its environment says: the same variables for agents and balancers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from sentinel_api.errors import Invalid
from sentinel_mesh.credentials import Credentials, credentials
from sentinel_mesh.place import file_of, listed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class MeshSettings:
    """Endpoints are written tcp/ADDRESS:PORT, or tls/… with credentials; peers not there yet are tried for ever."""

    cluster: str
    listen: tuple[str, ...]
    peers: tuple[str, ...]
    credentials: Credentials | None = None
    """None: the mesh speaks in the clear."""
    members: tuple[str, ...] | None = None
    """The only names that are let speak; None: whoever has a certificate."""
    roll: Path | None = None
    """A file that names the members, in the place of `members`."""
    routers: tuple[str, ...] = ()
    """Instead of peers: whose client this process is. Who may speak is then theirs to say."""
    zone: str = ""
    """Whose routers those are; nobody in another one hears more of this process than a sum."""
    zones: Path | None = None
    """A file that says both of this node, in the place of `routers` and `zone`."""

    @property
    def behind_routers(self) -> bool:
        return bool(self.routers or self.zones)


def mesh_settings(env: Mapping[str, str]) -> MeshSettings | None:
    """None: this process neither tells nor hears anything. Raises Invalid for what is malformed."""
    listen, peers, routers = (listed(env, f"SENTINEL_MESH_{name}") for name in ("LISTEN", "PEERS", "ROUTERS"))
    cluster, zone = env.get("SENTINEL_MESH_CLUSTER", "default"), env.get("SENTINEL_MESH_ZONE", "")
    if zones := file_of(env, "ZONES"):
        if listen or peers or routers or zone:
            raise Invalid(
                "SENTINEL_MESH_ZONES_FILE names zone and routers: set no LISTEN, PEERS, ROUTERS or ZONE with it"
            )
        return MeshSettings(cluster, (), (), credentials(env), zones=zones)
    if routers:
        return MeshSettings(cluster, (), (), credentials(env), routers=routers, zone=zone)
    if zone:
        raise Invalid("SENTINEL_MESH_ZONE is set without SENTINEL_MESH_ROUTERS: nodes of a zone meet at its routers")
    if peers and not listen:
        raise Invalid("SENTINEL_MESH_PEERS is set without SENTINEL_MESH_LISTEN: say where this process listens itself")
    if not listen:
        return None
    members = listed(env, "SENTINEL_MESH_MEMBERS") or None
    return MeshSettings(cluster, listen, peers, credentials(env), members, file_of(env, "MEMBERS"))
