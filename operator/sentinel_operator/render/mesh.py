"""The mesh between agents and balancers: where each listens and by which name it finds a first peer, or whose client it
is in a mesh with zones."""

from collections.abc import Sequence
from typing import Any

from sentinel_api.names import CLUSTER_LABEL
from sentinel_operator.objects import Manifest
from sentinel_operator.render.base import Owner, Release, namespaced

AUTHORITIES, MEMBERS, ZONES = "ca.crt", "members", "zones"
ROUTER = "router"
TRUST_IN_POD, IDENTITY_IN_POD = "/etc/sentinel/mesh", "/run/sentinel-mesh"


def name(owner: Owner) -> str:
    return f"{owner.name}-mesh"


def render(owner: Owner, release: Release, members: Sequence[str], zones: str = "") -> tuple[Manifest, ...]:
    """Not-ready members too: they must find each other before they can become ready. With `zones` (MeshZones) the name
    is that of all routers, for the operator, which is in no zone."""
    if not release.mesh_port:
        return ()
    everybody = {CLUSTER_LABEL: owner.label}
    manifest = namespaced(
        owner, "v1", "Service", name(owner), "mesh",
        spec={
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": everybody | {"app.kubernetes.io/component": ROUTER} if zones else everybody,
            "ports": [{"name": "mesh", "port": release.mesh_port, "targetPort": release.mesh_port}],
        },
    )  # fmt: skip
    return (manifest, _told(owner, release, members, zones)) if _mounted(release) else (manifest,)


def _told(owner: Owner, release: Release, members: Sequence[str], zones: str) -> Manifest:
    """Mounted and not read from the API server, so that neither a member nor an authority that comes moves any pod."""
    data = {ZONES: zones} if zones else {}
    if release.secured:
        data |= {AUTHORITIES: release.mesh_trust, MEMBERS: "".join(f"{name}\n" for name in members)}
    return namespaced(owner, "v1", "ConfigMap", name(owner), "mesh", data=data)


def _mounted(release: Release) -> bool:
    return release.secured or release.zoned


def volumes(owner: Owner, release: Release) -> list[dict[str, Any]]:
    """The key lies in memory: it is made anew in each pod, and no disk ever holds it."""
    told: list[dict[str, Any]] = [{"name": "mesh-trust", "configMap": {"name": name(owner)}}]
    own: list[dict[str, Any]] = [{"name": "mesh-identity", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}]
    return [*(told if _mounted(release) else ()), *(own if release.secured else ())]


def mounts(release: Release) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = [{"name": "mesh-trust", "mountPath": TRUST_IN_POD, "readOnly": True}]
    own: list[dict[str, Any]] = [{"name": "mesh-identity", "mountPath": IDENTITY_IN_POD}]
    return [*(told if _mounted(release) else ()), *(own if release.secured else ())]


def environment(owner: Owner, release: Release) -> list[dict[str, Any]]:
    """Peers are a name, not a list of addresses: a node that comes or goes must not change anybody's pod. Nor does its
    zone, which a file says."""
    if not release.mesh_port:
        return []
    if release.zoned:
        return [_cluster(owner), _zones(), *(_identity() if release.secured else ())]
    host = {"fieldRef": {"fieldPath": "status.hostIP"}}
    scheme = scheme_of(release)
    peers = f"{scheme}/{name(owner)}.{owner.namespace}.svc:{release.mesh_port}"
    return [
        {"name": "SENTINEL_HOST_IP", "valueFrom": host},
        _cluster(owner),
        {"name": "SENTINEL_MESH_LISTEN", "value": f"{scheme}/$(SENTINEL_HOST_IP):{release.mesh_port}"},
        {"name": "SENTINEL_MESH_PEERS", "value": peers},
        *((*_identity(), _roll()) if release.secured else ()),
    ]


def router_environment(owner: Owner, release: Release) -> list[dict[str, Any]]:
    """Of a router, beside its own name and zone; it is who lets members speak in a mesh with zones."""
    return [
        {"name": "SENTINEL_POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}},
        _cluster(owner),
        {"name": "SENTINEL_MESH_LISTEN", "value": f"{scheme_of(release)}/$(SENTINEL_POD_IP):{release.mesh_port}"},
        _zones(),
        *((*_identity(), _roll()) if release.secured else ()),
    ]


def scheme_of(release: Release) -> str:
    return "tls" if release.secured else "tcp"


def _identity() -> tuple[dict[str, Any], ...]:
    return (
        {"name": "SENTINEL_MESH_CA", "value": f"{TRUST_IN_POD}/{AUTHORITIES}"},
        {"name": "SENTINEL_MESH_ENROL", "value": IDENTITY_IN_POD},
    )


def _roll() -> dict[str, Any]:
    return {"name": "SENTINEL_MESH_MEMBERS_FILE", "value": f"{TRUST_IN_POD}/{MEMBERS}"}


def _zones() -> dict[str, Any]:
    return {"name": "SENTINEL_MESH_ZONES_FILE", "value": f"{TRUST_IN_POD}/{ZONES}"}


def _cluster(owner: Owner) -> dict[str, Any]:
    return {"name": "SENTINEL_MESH_CLUSTER", "value": owner.label}
