"""What every manifest of a cluster has in common: its name, its labels, its owner."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sentinel_api.names import API_VERSION, CLUSTER_LABEL
from sentinel_operator.objects import Manifest

BPFFS_IN_POD = "/sys/fs/bpf"
START_S = 120  # a busy node takes a minute to start a process; one ended before that would never start


@dataclass(frozen=True, slots=True)
class Release:
    """What this operator's own version and chart bring along, for specs that say nothing of it."""

    agent_image: str
    bpffs: str = "/sys/fs/bpf"
    mesh_port: int = 0  # 0: no mesh
    mesh_trust: str = ""  # certificates of the mesh's authority, in PEM; empty: it speaks in the clear
    mesh_zones: bool = False  # members meet at routers of their zone, and not each other

    @property
    def secured(self) -> bool:
        return bool(self.mesh_port and self.mesh_trust)

    @property
    def zoned(self) -> bool:
        return bool(self.mesh_port and self.mesh_zones)


@dataclass(frozen=True, slots=True)
class Owner:
    """The BufferCluster that an object belongs to; the API server deletes the object with it."""

    namespace: str
    name: str
    uid: str

    @property
    def label(self) -> str:
        """One BufferCluster of the whole API server; a dot cannot occur in a namespace's name."""
        return f"{self.namespace}.{self.name}"

    @property
    def reference(self) -> Mapping[str, Any]:
        return {
            "apiVersion": API_VERSION,
            "kind": "BufferCluster",
            "name": self.name,
            "uid": self.uid,
            "controller": True,
            "blockOwnerDeletion": True,
        }


def labels(owner: Owner, component: str) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": f"sentinel-{component}",
        "app.kubernetes.io/instance": owner.name,
        "app.kubernetes.io/component": component,
        "app.kubernetes.io/managed-by": "sentinel-operator",
        CLUSTER_LABEL: owner.label,
    }


def namespaced(owner: Owner, api_version: str, kind: str, name: str, component: str, **body: Any) -> Manifest:
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {
            "name": name,
            "namespace": owner.namespace,
            "labels": labels(owner, component),
            "ownerReferences": [owner.reference],
        },
        **body,
    }


def probe(path: str, port: int, period_s: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": port},
        "periodSeconds": period_s,
        "timeoutSeconds": 2,
        "failureThreshold": failures,
    }
