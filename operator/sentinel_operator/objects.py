"""How the operator names and compares Kubernetes objects: plain values, no client."""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from sentinel_api.v1alpha1.buffercluster import BufferCluster

Manifest = Mapping[str, Any]

DIGEST = "sentinel.io/digest"  # annotation: what we last applied, so that an unchanged object is not written again
OWNER = "sentinel.io/cluster"  # label: the BufferCluster an object belongs to
TAKEN_BY = "sentinel.io/taken-by"  # annotation of a Node: the BufferCluster whose autoscaler gave it its role
TAKEN_AT = "sentinel.io/taken-at"  # annotation of a Node: when it was given its role; gone when its agent first works
DRAINING_SINCE = "sentinel.io/draining-since"  # annotation of a BufferNode: when it was first told to drain
TEMPLATE = "sentinel.io/template"  # annotation of an agent's pod: the digest of the template it was made from
PARTING_SINCE = "sentinel.io/parting-since"  # annotation of the balancers' ConfigMap: when they were told to hand back
GOOD_TEMPLATE = "sentinel.io/good-template"  # annotation of the DaemonSet: the template that all nodes last ran
SLICE_LABEL = "kubernetes.io/service-name"  # of an EndpointSlice: whose it is
DRAIN_ASKED = "sentinel.io/drain"  # annotation of a Node: a person wants it to take no new flows
FIELD_MANAGER = "sentinel-operator"


class Key(NamedTuple):
    """One object of a cluster; `namespace` is empty for cluster-scoped kinds."""

    api_version: str
    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        place = f"{self.namespace}/" if self.namespace else ""
        return f"{self.kind} {place}{self.name}"


def key(manifest: Manifest) -> Key:
    meta = manifest["metadata"]
    return Key(manifest["apiVersion"], manifest["kind"], meta.get("namespace", ""), meta["name"])


def scale_key(cluster: BufferCluster) -> Key | None:
    """The object whose /scale the cluster's driver writes, where it has such a driver."""
    target = cluster.spec.scaling.driver.target
    if target is None:
        return None
    return Key(target.api_version, target.kind, target.namespace or cluster.metadata.namespace or "", target.name)


def digest(manifest: Manifest) -> str:
    """The same whatever the order of keys; 16 hex digits, since it only tells versions of one object apart."""
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def signed(manifest: Manifest) -> Manifest:
    """The manifest with the digest of itself as an annotation."""
    meta = manifest["metadata"]
    annotations = {**meta.get("annotations", {}), DIGEST: digest(manifest)}
    return {**manifest, "metadata": {**meta, "annotations": annotations}}


def signature(live: Manifest) -> str:
    """The digest that a live object carries; empty when we did not write it."""
    return str(live["metadata"].get("annotations", {}).get(DIGEST, ""))


def is_local(service: Manifest) -> bool:
    """Whether its traffic stays on the node that it comes to."""
    return bool(service["spec"].get("externalTrafficPolicy") == "Local")


def instant(text: str) -> datetime | None:
    """What a person wrote there by mistake is as nothing."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else None
