"""A headless Service over the agents: Prometheus finds their metrics by it, and they find each other."""

from sentinel_api.names import CLUSTER_LABEL
from sentinel_api.v1alpha1.buffercluster import BufferClusterSpec
from sentinel_operator.objects import Manifest
from sentinel_operator.render.base import Owner, namespaced


def render(owner: Owner, spec: BufferClusterSpec) -> Manifest:
    return namespaced(
        owner, "v1", "Service", f"{owner.name}-agents", "agent",
        spec={
            "clusterIP": "None",
            "publishNotReadyAddresses": True,
            "selector": {"app.kubernetes.io/component": "agent", CLUSTER_LABEL: owner.label},
            "ports": [{"name": "metrics", "port": spec.agent.metrics_port, "targetPort": "metrics"}],
        },
    )  # fmt: skip
