"""The mesh between agents and balancers: where each listens, and the headless name by which they find a first peer."""

from typing import Any

from sentinel_api.names import CLUSTER_LABEL
from sentinel_operator.objects import Manifest
from sentinel_operator.render.base import Owner, Release, namespaced


def name(owner: Owner) -> str:
    return f"{owner.name}-mesh"


def render(owner: Owner, release: Release) -> tuple[Manifest, ...]:
    """Not-ready members too: they must find each other before they can become ready."""
    if not release.mesh_port:
        return ()
    manifest = namespaced(
        owner, "v1", "Service", name(owner), "mesh",
        spec={
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {CLUSTER_LABEL: owner.label},
            "ports": [{"name": "mesh", "port": release.mesh_port, "targetPort": release.mesh_port}],
        },
    )  # fmt: skip
    return (manifest,)


def environment(owner: Owner, release: Release) -> list[dict[str, Any]]:
    """Peers are a name, not a list of addresses: a node that comes or goes must not change anybody's pod."""
    if not release.mesh_port:
        return []
    host = {"fieldRef": {"fieldPath": "status.hostIP"}}
    peers = f"tcp/{name(owner)}.{owner.namespace}.svc:{release.mesh_port}"
    return [
        {"name": "SENTINEL_HOST_IP", "valueFrom": host},
        {"name": "SENTINEL_MESH_CLUSTER", "value": owner.label},
        {"name": "SENTINEL_MESH_LISTEN", "value": f"tcp/$(SENTINEL_HOST_IP):{release.mesh_port}"},
        {"name": "SENTINEL_MESH_PEERS", "value": peers},
    ]
