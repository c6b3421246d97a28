"""Driver CapacityBuffer: room that the cluster autoscaler is asked to keep, as pods that nobody starts, one a node."""

from sentinel_api.names import CLUSTER_LABEL
from sentinel_api.v1alpha1.buffercluster import BufferClusterSpec
from sentinel_operator.objects import Manifest
from sentinel_operator.render.base import Owner, Release, labels, namespaced

API_VERSION, KIND = "autoscaling.x-k8s.io/v1alpha1", "CapacityBuffer"
STRATEGY = "buffer.x-k8s.io/active-capacity"
COMPONENT = "room"


def name(owner: Owner) -> str:
    return f"{owner.name}-room"


def render(owner: Owner, spec: BufferClusterSpec, release: Release, missing: int) -> tuple[Manifest, ...]:
    """`missing`: nodes asked for that no spare is left for; as they come they get the role, and it goes down."""
    buffer = namespaced(
        owner, API_VERSION, KIND, name(owner), COMPONENT,
        spec={"podTemplateRef": {"name": name(owner)}, "replicas": missing, "provisioningStrategy": STRATEGY},
    )  # fmt: skip
    return (_pod_template(owner, spec, release), buffer)


def _pod_template(owner: Owner, spec: BufferClusterSpec, release: Release) -> Manifest:
    """Such a pod fits on a node that a new agent could have: of the same kind, and without one."""
    apart = [_not_beside(owner, component) for component in (COMPONENT, "agent")]
    amounts = {"cpu": f"{spec.agent.resources.cpu_millis}m", "memory": str(spec.agent.resources.memory_bytes)}
    pod = {
        "nodeSelector": {**spec.agent.node_selector, **spec.scaling.driver.spare_node_selector},
        "tolerations": [toleration.wire() for toleration in spec.agent.tolerations],
        "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": apart}},
        "containers": [
            {"name": COMPONENT, "image": spec.agent.image or release.agent_image, "resources": {"requests": amounts}}
        ],
    }
    return namespaced(
        owner, "v1", "PodTemplate", name(owner), COMPONENT,
        template={"metadata": {"labels": labels(owner, COMPONENT)}, "spec": pod},
    )  # fmt: skip


def _not_beside(owner: Owner, component: str) -> dict[str, object]:
    chosen = {"app.kubernetes.io/component": component, CLUSTER_LABEL: owner.label}
    return {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": chosen}}
