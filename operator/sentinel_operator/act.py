"""The only writer: carries a plan out, in the plan's order, and stops at the first error."""

from collections.abc import Mapping
from typing import Any

from sentinel_api.errors import SentinelError
from sentinel_api.names import API_VERSION, CLUSTER_LABEL, FINALIZER
from sentinel_api.v1alpha1.buffercluster import BufferCluster
from sentinel_api.v1alpha1.clusterstatus import BufferClusterStatus
from sentinel_operator.cluster import Cluster
from sentinel_operator.decide.plan import Plan
from sentinel_operator.decide.status import Outcome
from sentinel_operator.decide.world import World
from sentinel_operator.objects import Key


async def carry_out(api: Cluster, world: World, plan: Plan) -> tuple[Outcome, SentinelError | None]:
    """What is left undone comes again at the next look: every step is idempotent."""
    try:
        if plan.finalizer == "add":
            await _finalizers(api, world.cluster, (*world.cluster.metadata.finalizers, FINALIZER))
        for manifest in plan.apply:
            await api.apply(manifest)
        for change in plan.relabel:
            await api.merge(Key("v1", "Node", "", change.node), {"metadata": {"labels": {CLUSTER_LABEL: change.value}}})
        for at in plan.delete:
            await api.delete(at)
        if plan.finalizer == "release":
            kept = tuple(f for f in world.cluster.metadata.finalizers if f != FINALIZER)
            await _finalizers(api, world.cluster, kept)
    except SentinelError as error:
        return Outcome(str(error)), error
    return Outcome(), None


async def publish(api: Cluster, cluster: BufferCluster, status: BufferClusterStatus) -> None:
    """Writes the status when it says something new. A merge patch, so a field that went away is sent as null."""
    old = cluster.status.wire() if cluster.status else {}
    change = difference(old, status.wire())
    if change:
        await api.merge(_key(cluster), {"status": change}, subresource="status")


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The merge patch that makes `new` of `old`; lists are replaced whole."""
    patch: dict[str, Any] = {name: None for name in old if name not in new}
    for name, value in new.items():
        before = old.get(name)
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            inner = difference(before, value)
            if inner:
                patch[name] = inner
        elif value != before:
            patch[name] = value
    return patch


async def _finalizers(api: Cluster, cluster: BufferCluster, finalizers: tuple[str, ...]) -> None:
    meta = {"finalizers": list(finalizers), "resourceVersion": cluster.metadata.resource_version}
    await api.merge(_key(cluster), {"metadata": meta})


def _key(cluster: BufferCluster) -> Key:
    return Key(API_VERSION, "BufferCluster", cluster.metadata.namespace or "", cluster.metadata.name)
