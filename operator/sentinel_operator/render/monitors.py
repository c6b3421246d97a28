"""PodMonitors, where the cluster knows the kind: Prometheus then finds agents and balancers by itself."""

from sentinel_api.names import CLUSTER_LABEL
from sentinel_api.v1alpha1.buffercluster import BufferClusterSpec
from sentinel_operator.objects import Manifest
from sentinel_operator.render import balancers, daemonset
from sentinel_operator.render.base import Owner, namespaced

API_VERSION, KIND = "monitoring.coreos.com/v1", "PodMonitor"


def render(owner: Owner, spec: BufferClusterSpec) -> tuple[Manifest, ...]:
    components = [daemonset.COMPONENT, *([balancers.COMPONENT] if balancers.wanted(spec) else [])]
    return tuple(_monitor(owner, component) for component in components)


def _monitor(owner: Owner, component: str) -> Manifest:
    chosen = {"app.kubernetes.io/component": component, CLUSTER_LABEL: owner.label}
    relabel = {"sourceLabels": ["__meta_kubernetes_pod_node_name"], "targetLabel": "node"}
    return namespaced(
        owner, API_VERSION, KIND, f"{owner.name}-{component}", component,
        spec={
            "selector": {"matchLabels": chosen},
            "podMetricsEndpoints": [{"port": "metrics", "relabelings": [relabel]}],
        },
    )  # fmt: skip
