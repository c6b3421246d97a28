"""The balancers' Deployment: spread over the edge nodes, replaced one by one, never all evicted at once."""

from typing import Any

from sentinel_api.names import CLUSTER_LABEL, ROLE_EDGE, ROLE_LABEL, ZONE_LABEL
from sentinel_api.v1alpha1.buffercluster import BufferClusterSpec
from sentinel_operator.objects import Key, Manifest
from sentinel_operator.render import mesh
from sentinel_operator.render.access import BALANCER_ACCOUNT
from sentinel_operator.render.base import BPFFS_IN_POD, Owner, Release, labels, namespaced, probe

COMPONENT = "balancer"
COMMAND = "/opt/sentinel/bin/sentinel-lb"
METRICS_PORT = 9467
COME_UP_S = 3600  # without its orders, which are the API server's to give, it waits: to end it would not bring them
MEMORY_BYTES = 536_870_912  # with the connection table in it


def name(owner: Owner) -> str:
    return f"{owner.name}-balancer"


def key_of(owner: Owner) -> Key:
    return Key("apps/v1", "Deployment", owner.namespace, name(owner))


def wanted(spec: BufferClusterSpec) -> bool:
    """Without addresses to give away there is nothing to balance."""
    return bool(spec.load_balancer.replicas and spec.load_balancer.address_pool)


def render(owner: Owner, spec: BufferClusterSpec, release: Release) -> tuple[Manifest, ...]:
    return (_deployment(owner, spec, release), _disruption_budget(owner)) if wanted(spec) else ()


def _chosen(owner: Owner) -> dict[str, str]:
    return {"app.kubernetes.io/component": COMPONENT, CLUSTER_LABEL: owner.label}


def _deployment(owner: Owner, spec: BufferClusterSpec, release: Release) -> Manifest:
    """A surge where an edge node is free, else one gives way: its kernel program stays and forwards meanwhile."""
    return namespaced(
        owner, "apps/v1", "Deployment", name(owner), COMPONENT,
        spec={
            "replicas": spec.load_balancer.replicas,
            "selector": {"matchLabels": _chosen(owner)},
            "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 1}},
            "minReadySeconds": 5,
            "template": {"metadata": {"labels": labels(owner, COMPONENT)}, "spec": _pod(owner, spec, release)},
        },
    )  # fmt: skip


def _disruption_budget(owner: Owner) -> Manifest:
    """One at a time; a single balancer may go, or no node could ever be drained."""
    return namespaced(
        owner, "policy/v1", "PodDisruptionBudget", name(owner), COMPONENT,
        spec={"maxUnavailable": 1, "selector": {"matchLabels": _chosen(owner)}},
    )  # fmt: skip


def _pod(owner: Owner, spec: BufferClusterSpec, release: Release) -> dict[str, Any]:
    return {
        "serviceAccountName": BALANCER_ACCOUNT,
        "hostNetwork": True,
        "dnsPolicy": "ClusterFirstWithHostNet",
        "priorityClassName": spec.agent.priority_class_name,
        "nodeSelector": {**spec.load_balancer.node_selector, ROLE_LABEL: ROLE_EDGE},
        "tolerations": [toleration.wire() for toleration in spec.agent.tolerations],
        "terminationGracePeriodSeconds": 10,
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        "topologySpreadConstraints": [
            _spread(owner, "kubernetes.io/hostname", "DoNotSchedule"),
            _spread(owner, ZONE_LABEL, "ScheduleAnyway"),
        ],
        "containers": [_container(owner, spec, release)],
        "volumes": [
            {"name": "bpffs", "hostPath": {"path": release.bpffs, "type": "Directory"}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}},
            *mesh.volumes(owner, release),
        ],
    }


def _spread(owner: Owner, key: str, otherwise: str) -> dict[str, Any]:
    return {
        "maxSkew": 1,
        "topologyKey": key,
        "whenUnsatisfiable": otherwise,
        "labelSelector": {"matchLabels": _chosen(owner)},
    }


def _container(owner: Owner, spec: BufferClusterSpec, release: Release) -> dict[str, Any]:
    return {
        "name": COMPONENT,
        "image": spec.load_balancer.image or spec.agent.image or release.agent_image,
        "imagePullPolicy": spec.agent.image_pull_policy,
        "command": [COMMAND],
        "env": [
            {"name": "SENTINEL_NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            {"name": "SENTINEL_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
            {"name": "SENTINEL_CONFIG_MAP", "value": name(owner)},
            {"name": "SENTINEL_LOG_LEVEL", "value": spec.agent.log_level},
            {"name": "SENTINEL_METRICS_PORT", "value": str(METRICS_PORT)},
            {"name": "SENTINEL_BPFFS", "value": BPFFS_IN_POD},
            *mesh.environment(owner, release),
        ],
        "ports": [{"name": "metrics", "containerPort": METRICS_PORT, "hostPort": METRICS_PORT}],
        "resources": {
            "requests": {"cpu": "200m", "memory": str(MEMORY_BYTES)},
            "limits": {"memory": str(MEMORY_BYTES)},
        },
        "securityContext": {
            "runAsUser": 0,
            "privileged": False,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            # NET_RAW: probes of nodes, and telling neighbours whose addresses are here.
            "capabilities": {"drop": ["ALL"], "add": ["BPF", "NET_ADMIN", "NET_RAW", "PERFMON"]},
        },
        "livenessProbe": probe("/healthz", METRICS_PORT, period_s=10, failures=3),
        "readinessProbe": probe("/readyz", METRICS_PORT, period_s=2, failures=2),
        "startupProbe": probe("/healthz", METRICS_PORT, period_s=1, failures=COME_UP_S),
        "volumeMounts": [
            {"name": "bpffs", "mountPath": BPFFS_IN_POD},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108  the pod's own, for libraries that insist on one
            *mesh.mounts(release),
        ],
    }
