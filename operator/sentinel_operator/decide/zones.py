"""Zones of a cluster's mesh, by the label that Kubernetes gives its nodes."""

from typing import Final

from sentinel_api.names import MESH_OPERATOR, ROLE_EDGE, ROLE_LABEL, ZONE_LABEL
from sentinel_operator.decide import members
from sentinel_operator.decide.world import World
from sentinel_operator.render.routers import Zones, zone_name

WIDE_AT_MOST: Final = 100
"""So many members hear each other over zones: what a balancer pays for their beats is half of a core or less."""


def zones(world: World) -> Zones | None:
    """Every member in one; None for a mesh without zones. Labels alone decide, as for who is a member: health moves
    nobody elsewhere."""
    if not world.release.zoned:
        return None
    label = {node.name: node.labels.get(ZONE_LABEL, "") for node in world.nodes}
    edge = {node.name for node in world.nodes if node.labels.get(ROLE_LABEL) == ROLE_EDGE}
    found: dict[str, list[str]] = {}
    inside = [name for name in members.names(world) if name != MESH_OPERATOR]
    for name in inside:
        found.setdefault(label.get(name, ""), []).append(name)
    return Zones(
        members={zone: tuple(found[zone]) for zone in sorted(found)},
        edges=tuple(name for name in inside if name in edge),
        wide=len(inside) <= WIDE_AT_MOST,
    )


def speakers(world: World, found: Zones | None) -> tuple[str, ...]:
    """Everybody who may speak in the mesh: routers do so for their zones."""
    own = map(zone_name, found.members) if found else ()
    return tuple(sorted({*members.names(world), *own}))
