"""MeshZones: who is whose neighbour in a mesh with routers; the operator puts it into a ConfigMap that all mount."""

import json
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated

from pydantic import Field, StringConstraints

from sentinel_api.errors import Invalid
from sentinel_api.v1alpha1.model import Flag, Model, Name

ZONE_PREFIX = "zone_"
"""Of every zone's name: no node of Kubernetes can have an underscore in its own, and both are members of one mesh."""

ZoneName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]+$", max_length=64)]
Endpoint = Annotated[str, StringConstraints(pattern=r"^(tcp|tls)/[^\s,]+:[0-9]{1,5}$", max_length=300)]


class MeshZone(Model):
    """Nodes that hear each other, and the routers at which they meet."""

    name: ZoneName = Field(description="As it stands in keys of the mesh, and in the certificates of its routers.")
    routers: tuple[Endpoint, ...] = Field(
        min_length=1, description="Each member is a client of the first that answers."
    )
    nodes: tuple[Name, ...] = Field((), description="Its members.")


class MeshZones(Model):
    """The whole mesh of a cluster, the same for everybody in it."""

    wide: Flag = Field(False, description="Whether members hear those of every zone: of few nodes that costs little.")
    zones: tuple[MeshZone, ...] = Field((), description="Each node is in one of them at most.")
    edges: tuple[Name, ...] = Field((), description="Nodes of balancers, who hear each other over all zones.")

    @classmethod
    def read(cls, text: str) -> "MeshZones":
        """Raises Invalid for what is none."""
        try:
            found = json.loads(text)
        except ValueError as error:
            raise Invalid(f"the zones of the mesh are no JSON: {error}") from error
        if not isinstance(found, dict):
            raise Invalid('the zones of the mesh must be an object such as {"zones": [...]}')
        return cls.parse(found)

    @property
    def text(self) -> str:
        return json.dumps(self.wire(), sort_keys=True, separators=(",", ":"))

    def of(self, node: str) -> MeshZone | None:
        """None for a node that the writer did not know yet."""
        return next((zone for zone in self.zones if node in zone.nodes), None)

    @cached_property
    def zone_of(self) -> Mapping[str, str]:
        """By node."""
        return {node: zone.name for zone in self.zones for node in zone.nodes}

    @property
    def routers(self) -> tuple[str, ...]:
        """Of all zones, in the one order that everybody finds."""
        return tuple(sorted(endpoint for zone in self.zones for endpoint in zone.routers))
