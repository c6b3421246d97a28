"""The node agents' DaemonSet: three capabilities, read-only root, probes tied to the tick."""

import json
from typing import Any

from sentinel_api.names import AGENT_SERVICE_ACCOUNT, CLUSTER_LABEL
from sentinel_api.v1alpha1.agent import Agent
from sentinel_api.v1alpha1.buffercluster import BufferClusterSpec
from sentinel_operator.objects import GOOD_TEMPLATE, TEMPLATE, Manifest, digest
from sentinel_operator.render import mesh
from sentinel_operator.render.base import BPFFS_IN_POD, START_S, Owner, Release, labels, namespaced, probe

COMPONENT = "agent"


def name(owner: Owner) -> str:
    return f"{owner.name}-agent"


def template(owner: Owner, spec: BufferClusterSpec, release: Release) -> Manifest:
    """The agents' pod, which carries the digest of itself: so a pod tells which version it was made from."""
    bare = {"metadata": {"labels": labels(owner, COMPONENT)}, "spec": _pod(owner, spec.agent, release)}
    return {**bare, "metadata": {**bare["metadata"], "annotations": {TEMPLATE: digest(bare)}}}


def template_digest(pod: Manifest) -> str:
    """Of a pod or of a template; empty for one that an older operator made."""
    return str(pod.get("metadata", {}).get("annotations", {}).get(TEMPLATE, ""))


def render(owner: Owner, pod_template: Manifest, good_template: Manifest | None) -> Manifest:
    """Updated by our own rollout, node by node, hence OnDelete."""
    chosen = {"app.kubernetes.io/component": COMPONENT, CLUSTER_LABEL: owner.label}
    manifest = namespaced(
        owner, "apps/v1", "DaemonSet", name(owner), COMPONENT,
        spec={
            "selector": {"matchLabels": chosen},
            "updateStrategy": {"type": "OnDelete"},
            "template": pod_template,
        },
    )  # fmt: skip
    if good_template is None:
        return manifest
    kept = {GOOD_TEMPLATE: json.dumps(good_template, sort_keys=True, separators=(",", ":"))}
    return {**manifest, "metadata": {**manifest["metadata"], "annotations": kept}}


def good_template(live: Manifest) -> Manifest | None:
    """What a live DaemonSet remembers; None before the first roll-out is done."""
    text = live["metadata"].get("annotations", {}).get(GOOD_TEMPLATE)
    return dict(json.loads(text)) if text else None


def _pod(owner: Owner, agent: Agent, release: Release) -> dict[str, Any]:
    return {
        "serviceAccountName": AGENT_SERVICE_ACCOUNT,
        "hostNetwork": True,
        "dnsPolicy": "ClusterFirstWithHostNet",
        "priorityClassName": agent.priority_class_name,
        # Not by role: a node that lost it keeps its agent until that has handed back, and our label until then.
        "nodeSelector": {CLUSTER_LABEL: owner.label},
        "tolerations": [toleration.wire() for toleration in agent.tolerations],
        "terminationGracePeriodSeconds": 10,
        "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [_container(owner, agent, release)],
        "volumes": [
            {"name": "bpffs", "hostPath": {"path": release.bpffs, "type": "Directory"}},
            {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}},
            *mesh.volumes(owner, release),
        ],
    }


def _container(owner: Owner, agent: Agent, release: Release) -> dict[str, Any]:
    amounts = {"cpu": f"{agent.resources.cpu_millis}m", "memory": str(agent.resources.memory_bytes)}
    return {
        "name": COMPONENT,
        "image": agent.image or release.agent_image,
        "imagePullPolicy": agent.image_pull_policy,
        "env": [
            {"name": "SENTINEL_NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}},
            {"name": "SENTINEL_NAMESPACE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}},
            {"name": "SENTINEL_LOG_LEVEL", "value": agent.log_level},
            {"name": "SENTINEL_METRICS_PORT", "value": str(agent.metrics_port)},
            {"name": "SENTINEL_BPFFS", "value": BPFFS_IN_POD},
            *mesh.environment(owner, release),
        ],
        "ports": [{"name": "metrics", "containerPort": agent.metrics_port, "hostPort": agent.metrics_port}],
        "resources": {"requests": amounts, "limits": {"memory": amounts["memory"]}},
        "securityContext": {
            "runAsUser": 0,
            "privileged": False,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"], "add": ["BPF", "NET_ADMIN", "PERFMON"]},
        },
        "livenessProbe": probe("/healthz", agent.metrics_port, period_s=10, failures=3),
        "readinessProbe": probe("/readyz", agent.metrics_port, period_s=2, failures=2),
        "startupProbe": probe("/healthz", agent.metrics_port, period_s=1, failures=START_S),
        "volumeMounts": [
            {"name": "bpffs", "mountPath": BPFFS_IN_POD},
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108  the pod's own, for libraries that insist on one
            *mesh.mounts(release),
        ],
    }
