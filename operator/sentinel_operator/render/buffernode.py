"""What the operator orders of one node."""

from datetime import datetime

from sentinel_api.names import CLUSTER_LABEL
from sentinel_api.v1alpha1.buffernode import BufferNode, BufferNodeSpec, ClusterRef
from sentinel_operator.objects import DRAINING_SINCE, Key, Manifest
from sentinel_operator.render.base import Owner

API_VERSION = "sentinel.io/v1alpha1"


def key_of(node: str) -> Key:
    return Key(API_VERSION, "BufferNode", "", node)


def orders(owner: Owner, config_digest: str, report_seconds: int) -> BufferNodeSpec:
    return BufferNodeSpec(
        cluster_ref=ClusterRef(namespace=owner.namespace, name=owner.name),
        config_digest=config_digest,
        report_seconds=report_seconds,
    )


def render(owner: Owner, node_name: str, node_uid: str, spec: BufferNodeSpec) -> Manifest:
    """Owned by its Node, so that a node that is deleted takes its orders along."""
    return {
        "apiVersion": API_VERSION,
        "kind": "BufferNode",
        "metadata": {
            "name": node_name,
            "labels": {CLUSTER_LABEL: owner.label},
            "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": node_name, "uid": node_uid}],
        },
        "spec": spec.wire(),
    }


def render_draining(owner: Owner, node_name: str, node_uid: str, spec: BufferNodeSpec, since: datetime) -> Manifest:
    """The same orders, but for taking no new flows; `since` outlives the operator that gave the order."""
    manifest = render(owner, node_name, node_uid, spec.model_copy(update={"desired_state": "Draining"}))
    return {**manifest, "metadata": {**manifest["metadata"], "annotations": {DRAINING_SINCE: since.isoformat()}}}


def draining_since(node: BufferNode) -> datetime | None:
    """None for a node that is not being drained."""
    text = (node.metadata.annotations or {}).get(DRAINING_SINCE)
    return datetime.fromisoformat(text) if text and node.spec.desired_state == "Draining" else None


def render_detached(owner: Owner, node: BufferNode) -> Manifest:
    """The same orders, but for handing everything back."""
    spec = node.spec.model_copy(update={"desired_state": "Detached"})
    uid = next((o.uid for o in node.metadata.owner_references if o.kind == "Node"), "")
    return render(owner, node.metadata.name, uid, spec)
