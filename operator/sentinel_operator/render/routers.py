"""Routers of a mesh with zones: two for each zone, on its own nodes, each under a name that outlives its pod."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from sentinel_api.names import CLUSTER_LABEL, ZONE_LABEL
from sentinel_api.v1alpha1.agent import Agent
from sentinel_api.v1alpha1.buffercluster import BufferClusterSpec
from sentinel_api.v1alpha1.meshzones import ZONE_PREFIX, MeshZone, MeshZones
from sentinel_operator.objects import Manifest
from sentinel_operator.render import mesh
from sentinel_operator.render.access import ROUTER_ACCOUNT
from sentinel_operator.render.base import Owner, Release, labels, namespaced

COMPONENT: Final = mesh.ROUTER
PYTHON: Final = "/opt/sentinel/bin/python"
IN_A_ZONE: Final = 2
"""While one is replaced, or opens anew, its clients go to the other."""

LONGEST: Final = 25
"""Of a zone's part in the names of objects and certificates, which are 63 and 64 letters long at most."""

NO_ZONE: Final = "none"
PLAIN: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
NUMBER: Final = "sentinel.io/router"
RESOURCES: Final = {"requests": {"cpu": "100m", "memory": "134217728"}, "limits": {"memory": "536870912"}}


@dataclass(frozen=True, slots=True)
class Zones:
    """Label of each zone → its members; `wide`: they are so few that all of them hear each other. `edges` are the nodes
    of balancers."""

    members: Mapping[str, tuple[str, ...]]
    edges: tuple[str, ...]
    wide: bool


def short(label: str) -> str:
    """What stands for a zone in names of objects; a label that cannot, or reads like another, has its digest there."""
    if not label:
        return NO_ZONE
    fits = PLAIN.issuperset(label) and label[0] != "-" and label[-1] != "-" and len(label) <= LONGEST
    return label if fits and label != NO_ZONE else sha256(label.encode()).hexdigest()[:12]


def zone_name(label: str) -> str:
    """In the mesh, and in the certificates of its routers."""
    return ZONE_PREFIX + short(label)


def file(owner: Owner, release: Release, zones: Zones) -> str:
    """What members and routers are told, as one text."""
    found = (
        MeshZone(name=zone_name(label), routers=tuple(_endpoints(owner, release, label)), nodes=nodes)
        for label, nodes in zones.members.items()
    )
    return MeshZones(wide=zones.wide, zones=tuple(found), edges=zones.edges).text


def render(owner: Owner, spec: BufferClusterSpec, release: Release, zones: Zones) -> tuple[Manifest, ...]:
    """A Deployment of one and a Service for each: so a name stands for one router, wherever its pod is."""
    return tuple(
        manifest
        for label in zones.members
        for number in range(IN_A_ZONE)
        for manifest in (
            _service(owner, release, label, number),
            _deployment(owner, spec.agent, release, label, number),
        )
    )


def _endpoints(owner: Owner, release: Release, label: str) -> Sequence[str]:
    return [_endpoint(owner, release, label, number) for number in range(IN_A_ZONE)]


def _endpoint(owner: Owner, release: Release, label: str, number: int) -> str:
    host = f"{_name(owner, label, number)}.{owner.namespace}.svc"
    return f"{mesh.scheme_of(release)}/{host}:{release.mesh_port}"


def _name(owner: Owner, label: str, number: int) -> str:
    return f"{mesh.name(owner)}-{short(label)}-{number}"


def _chosen(owner: Owner, label: str, number: int) -> dict[str, str]:
    own = {"app.kubernetes.io/component": COMPONENT, CLUSTER_LABEL: owner.label}
    return own | {NUMBER: f"{short(label)}-{number}"}


def _service(owner: Owner, release: Release, label: str, number: int) -> Manifest:
    """Headless, and not-ready pods too: who dials waits for the router itself, and for nobody's opinion of it."""
    return namespaced(
        owner, "v1", "Service", _name(owner, label, number), COMPONENT,
        spec={
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": _chosen(owner, label, number),
            "ports": [{"name": "mesh", "port": release.mesh_port, "targetPort": release.mesh_port}],
        },
    )  # fmt: skip


def _deployment(owner: Owner, agent: Agent, release: Release, label: str, number: int) -> Manifest:
    marked = labels(owner, COMPONENT) | _chosen(owner, label, number)
    return namespaced(
        owner, "apps/v1", "Deployment", _name(owner, label, number), COMPONENT,
        spec={
            "replicas": 1,
            "selector": {"matchLabels": _chosen(owner, label, number)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
            "template": {"metadata": {"labels": marked}, "spec": _pod(owner, agent, release, label, number)},
        },
    )  # fmt: skip


def _pod(owner: Owner, agent: Agent, release: Release, label: str, number: int) -> dict[str, Any]:
    return {
        # It asks the API server for its certificate, and for nothing else.
        **({"serviceAccountName": ROUTER_ACCOUNT} if release.secured else {"automountServiceAccountToken": False}),
        "priorityClassName": agent.priority_class_name,
        "tolerations": [toleration.wire() for toleration in agent.tolerations],
        "terminationGracePeriodSeconds": 10,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "fsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "affinity": {"nodeAffinity": _inside(label), "podAntiAffinity": _apart(owner)},
        "containers": [_container(owner, agent, release, label, number)],
        "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "16Mi"}}, *mesh.volumes(owner, release)],
    }


def _inside(label: str) -> dict[str, Any]:
    where = {"key": ZONE_LABEL, "operator": "In", "values": [label]}
    expression = where if label else {"key": ZONE_LABEL, "operator": "DoesNotExist"}
    term = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
    return {"requiredDuringSchedulingIgnoredDuringExecution": term}


def _apart(owner: Owner) -> dict[str, Any]:
    """Two of a zone on two nodes, where it has two."""
    others = {"app.kubernetes.io/component": COMPONENT, CLUSTER_LABEL: owner.label}
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": others}}
    return {"preferredDuringSchedulingIgnoredDuringExecution": [{"weight": 100, "podAffinityTerm": term}]}


def _container(owner: Owner, agent: Agent, release: Release, label: str, number: int) -> dict[str, Any]:
    listening = {"tcpSocket": {"port": release.mesh_port}}
    return {
        "name": COMPONENT,
        "image": agent.image or release.agent_image,
        "imagePullPolicy": agent.image_pull_policy,
        "command": [PYTHON, "-m", "sentinel_mesh"],
        "env": [
            {"name": "SENTINEL_NODE_NAME", "value": f"{zone_name(label)}-{number}"},
            {"name": "SENTINEL_MESH_ZONE", "value": zone_name(label)},
            {"name": "SENTINEL_MESH_ENDPOINT", "value": _endpoint(owner, release, label, number)},
            *mesh.router_environment(owner, release),
        ],
        "ports": [{"name": "mesh", "containerPort": release.mesh_port}],
        "resources": RESOURCES,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        # Until it has its certificate it does not listen: that is no reason to start it anew, so no liveness probe.
        "readinessProbe": {**listening, "periodSeconds": 2, "timeoutSeconds": 2, "failureThreshold": 2},
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}, *mesh.mounts(release)],  # noqa: S108  the pod's own
    }
