"""The only writer: carries a plan out, in the plan's order, and stops at the first error but a refusal."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import structlog

from sentinel_api.errors import SentinelError
from sentinel_api.names import API_VERSION, CLUSTER_LABEL, FINALIZER, ROLE_LABEL
from sentinel_api.v1alpha1.buffercluster import BufferCluster
from sentinel_api.v1alpha1.clusterstatus import BufferClusterStatus, ScalingStatus
from sentinel_operator.cluster import Cluster
from sentinel_operator.decide.changes import Change
from sentinel_operator.decide.leadtime import Arrived
from sentinel_operator.decide.plan import Plan, Relabel
from sentinel_operator.decide.spares import RoleChange
from sentinel_operator.decide.status import Outcome
from sentinel_operator.decide.world import World
from sentinel_operator.objects import FIELD_MANAGER, TAKEN_AT, TAKEN_BY, Key, Manifest, digest, key, scale_key
from sentinel_operator.refusals import Refusals, Write

log = structlog.get_logger()


async def carry_out(api: Cluster, world: World, plan: Plan, refusals: Refusals) -> tuple[Outcome, SentinelError | None]:
    """What is left undone comes again at a later look: every step is idempotent.

    What fails for now ends it. What is refused until a person mends it ends nothing but the deletes, which rest on it.
    """
    writes, deletes = tuple(_writes(api, world, plan)), tuple(_deletes(api, plan))
    try:
        if plan.finalizer == "add":
            await _finalizers(api, world.cluster, (*world.cluster.metadata.finalizers, FINALIZER))
        done = await refusals.carry_out(writes) and await refusals.carry_out(deletes)
        refusals.forget_others((*writes, *deletes))
        if done and plan.finalizer == "release":
            kept = tuple(f for f in world.cluster.metadata.finalizers if f != FINALIZER)
            await _finalizers(api, world.cluster, kept)
    except SentinelError as error:
        return Outcome(str(error)), error
    return Outcome(refusals.told), None


def _writes(api: Cluster, world: World, plan: Plan) -> Iterator[Write]:
    for manifest in plan.apply:
        yield Write("apply", key(manifest), manifest, partial(api.apply, manifest))
    for role in plan.roles:
        yield Write("role", _node(role.node), role.role, partial(_role, api, role))
    for change in plan.relabel:
        yield Write("label", _node(change.node), change.value, partial(_relabel, api, change))
    if plan.nodes is not None:
        number = {**_unchanged_since(world), "spec": {"nodes": plan.nodes}}
        yield Write("number", _key(world.cluster), plan.nodes, partial(api.merge, _key(world.cluster), number))
    at = scale_key(world.cluster)
    if plan.replicas is not None and at is not None:
        yield Write("scale", at, plan.replicas, partial(_scale, api, world, at, plan.replicas))


def _deletes(api: Cluster, plan: Plan) -> Iterator[Write]:
    for at in plan.delete:
        yield Write("delete", at, None, partial(api.delete, at))


async def commit(api: Cluster, world: World, scaling: ScalingStatus) -> World:
    """Writes a decision down before anything is done about it; refused when anybody wrote to the cluster since.

    Answers the world with that status, from which the plan is made: what a successor would find.
    """
    old = world.cluster.status or BufferClusterStatus()
    new = old.model_copy(update={"scaling": scaling})
    body = {**_unchanged_since(world), "status": difference(old.wire() if world.cluster.status else {}, new.wire())}
    written = await api.merge(_key(world.cluster), body, subresource="status")
    meta = world.cluster.metadata.model_copy(update={"resource_version": written["metadata"]["resourceVersion"]})
    return replace(world, cluster=world.cluster.model_copy(update={"metadata": meta, "status": new}))


async def publish(api: Cluster, cluster: BufferCluster, status: BufferClusterStatus) -> None:
    """Writes the status when it says something new. A merge patch, so a field that went away is sent as null."""
    old = cluster.status.wire() if cluster.status else {}
    change = difference(old, status.wire())
    if change:
        await api.merge(_key(cluster), {"status": change}, subresource="status")


async def unmark(api: Cluster, arrivals: Iterable[Arrived]) -> None:
    """After their lead time is written down: a crash in between writes it twice, which moves nothing."""
    for each in arrivals:
        await api.merge(_node(each.node), {"metadata": {"annotations": {TAKEN_AT: None}}})


async def announce(api: Cluster, cluster: BufferCluster, news: Iterable[Change]) -> None:
    """Events. One that cannot be written is logged and lost: nothing may wait for it."""
    for change in news:
        try:
            await api.create(event(cluster, change))
        except SentinelError as error:
            log.warning("event_lost", reason=change.reason, error=str(error))


def event(cluster: BufferCluster, change: Change) -> Manifest:
    """Named after what it says and when, so that a successor that says it again is refused."""
    meta, at = cluster.metadata, change.at.strftime("%Y-%m-%dT%H:%M:%SZ")
    name = f"{meta.name}.{digest({'reason': change.reason, 'message': change.message, 'at': at})}"
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": name, "namespace": meta.namespace},
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": "BufferCluster",
            "name": meta.name,
            "namespace": meta.namespace,
            "uid": meta.uid,
            "resourceVersion": meta.resource_version,
        },
        "type": change.kind,
        "reason": change.reason,
        "message": change.message[:1024],
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
        "source": {"component": FIELD_MANAGER},
    }


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


async def _relabel(api: Cluster, change: Relabel) -> None:
    meta: dict[str, Any] = {"labels": {CLUSTER_LABEL: change.value}}
    if change.asked_at is not None:
        meta["annotations"] = {TAKEN_AT: change.asked_at.isoformat(timespec="seconds")}
    await api.merge(_node(change.node), {"metadata": meta})


async def _role(api: Cluster, change: RoleChange) -> None:
    meta = {
        "labels": {ROLE_LABEL: change.role},
        "annotations": {
            TAKEN_BY: change.taken_by,
            TAKEN_AT: change.taken_at.isoformat(timespec="seconds") if change.taken_at else None,
        },
        "resourceVersion": change.resource_version,
    }
    await api.merge(_node(change.node), {"metadata": meta})


async def _scale(api: Cluster, world: World, at: Key, replicas: int) -> None:
    if world.scale is not None:
        meta = {"resourceVersion": world.scale.resource_version}
        await api.merge(at, {"metadata": meta, "spec": {"replicas": replicas}}, subresource="scale")


def _unchanged_since(world: World) -> dict[str, Any]:
    return {"metadata": {"resourceVersion": world.cluster.metadata.resource_version}}


async def _finalizers(api: Cluster, cluster: BufferCluster, finalizers: tuple[str, ...]) -> None:
    meta = {"finalizers": list(finalizers), "resourceVersion": cluster.metadata.resource_version}
    await api.merge(_key(cluster), {"metadata": meta})


def _node(name: str) -> Key:
    return Key("v1", "Node", "", name)


def _key(cluster: BufferCluster) -> Key:
    return Key(API_VERSION, "BufferCluster", cluster.metadata.namespace or "", cluster.metadata.name)
