"""The mesh between agents and balancers: where each listens, and the headless name by which they find a first peer."""

from collections.abc import Sequence
from typing import Any

from sentinel_api.names import CLUSTER_LABEL
from sentinel_operator.objects import Manifest
from sentinel_operator.render.base import Owner, Release, namespaced

AUTHORITIES, MEMBERS = "ca.crt", "members"
TRUST_IN_POD, IDENTITY_IN_POD = "/etc/sentinel/mesh", "/run/sentinel-mesh"


def name(owner: Owner) -> str:
    return f"{owner.name}-mesh"


def render(owner: Owner, release: Release, members: Sequence[str]) -> tuple[Manifest, ...]:
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
    return (manifest, _trust(owner, release, members)) if release.secured else (manifest,)


def _trust(owner: Owner, release: Release, members: Sequence[str]) -> Manifest:
    """Mounted and not read from the API server, so that neither a member nor an authority that comes moves any pod."""
    data = {AUTHORITIES: release.mesh_trust, MEMBERS: "".join(f"{name}\n" for name in members)}
    return namespaced(owner, "v1", "ConfigMap", name(owner), "mesh", data=data)


def volumes(owner: Owner, release: Release) -> list[dict[str, Any]]:
    """The key lies in memory: it is made anew in each pod, and no disk ever holds it."""
    if not release.secured:
        return []
    return [
        {"name": "mesh-trust", "configMap": {"name": name(owner)}},
        {"name": "mesh-identity", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
    ]


def mounts(release: Release) -> list[dict[str, Any]]:
    if not release.secured:
        return []
    return [
        {"name": "mesh-trust", "mountPath": TRUST_IN_POD, "readOnly": True},
        {"name": "mesh-identity", "mountPath": IDENTITY_IN_POD},
    ]


def environment(owner: Owner, release: Release) -> list[dict[str, Any]]:
    """Peers are a name, not a list of addresses: a node that comes or goes must not change anybody's pod."""
    if not release.mesh_port:
        return []
    host = {"fieldRef": {"fieldPath": "status.hostIP"}}
    scheme = scheme_of(release)
    peers = f"{scheme}/{name(owner)}.{owner.namespace}.svc:{release.mesh_port}"
    return [
        {"name": "SENTINEL_HOST_IP", "valueFrom": host},
        {"name": "SENTINEL_MESH_CLUSTER", "value": owner.label},
        {"name": "SENTINEL_MESH_LISTEN", "value": f"{scheme}/$(SENTINEL_HOST_IP):{release.mesh_port}"},
        {"name": "SENTINEL_MESH_PEERS", "value": peers},
        *(_identity() if release.secured else ()),
    ]


def scheme_of(release: Release) -> str:
    return "tls" if release.secured else "tcp"


def _identity() -> tuple[dict[str, Any], ...]:
    return (
        {"name": "SENTINEL_MESH_CA", "value": f"{TRUST_IN_POD}/{AUTHORITIES}"},
        {"name": "SENTINEL_MESH_MEMBERS_FILE", "value": f"{TRUST_IN_POD}/{MEMBERS}"},
        {"name": "SENTINEL_MESH_ENROL", "value": IDENTITY_IN_POD},
    )
