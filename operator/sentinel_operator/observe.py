"""The API server to World: everything the planner may know. Nodes and orders come from the mirror of the watches."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TypeVar

import structlog

from sentinel_api.errors import Invalid, Transient
from sentinel_api.names import API_VERSION, CLUSTER_LABEL
from sentinel_api.v1alpha1.buffercluster import BufferCluster
from sentinel_operator.cluster import Cluster
from sentinel_operator.decide.leaving import unheard
from sentinel_operator.decide.world import AgentPod, Agents, BalancerPod, ScaleObject, World
from sentinel_operator.due import ClusterName
from sentinel_operator.mirror import Mirror, Shelf
from sentinel_operator.objects import Key, Manifest, key, scale_key, signature
from sentinel_operator.render import access, balancerconfig, balancers, capacity, daemonset, monitors
from sentinel_operator.render.base import Owner, Release

OWNED = (
    ("v1", "ConfigMap"),
    ("v1", "Service"),
    ("apps/v1", "DaemonSet"),
    ("apps/v1", "Deployment"),
    ("policy/v1", "PodDisruptionBudget"),
)

STARTING = "ContainerCreating"

Parsed = TypeVar("Parsed")

log = structlog.get_logger()


async def refresh(api: Cluster, mirror: Mirror) -> None:
    """Whole lists, so that nothing rests on a watch that may stall."""
    await settle(api, mirror.nodes, "v1", "Node")
    await settle(api, mirror.buffer_nodes, API_VERSION, "BufferNode")
    await settle(api, mirror.services, "v1", "Service")
    try:
        mirror.buffers_capacity = await api.knows(capacity.API_VERSION, capacity.KIND)
        mirror.monitored = await api.knows(monitors.API_VERSION, monitors.KIND)
    except Transient as error:  # no work waits for it: what was known before still holds
        log.warning("kinds_unknown", error=str(error))


async def settle(api: Cluster, shelf: Shelf[Any], api_version: str, kind: str) -> int:
    """Fills a shelf from a whole list, page by page; answers the version that it is of."""
    listed: set[tuple[str, str]] = set()
    version = 0
    async for page, of_version in api.pages(api_version, kind):
        listed |= shelf.take(page)
        version = of_version
    shelf.forget_others(listed, version)
    return version


async def observe(api: Cluster, mirror: Mirror, name: ClusterName, release: Release) -> World | None:
    """None when the cluster is gone. Raises Invalid when what is stored no longer parses."""
    stored = await api.get(Key(API_VERSION, "BufferCluster", name.namespace, name.name))
    if stored is None:
        return None
    cluster = BufferCluster.parse(stored)
    owner = Owner(name.namespace, name.name, cluster.metadata.uid or "")
    # Side by side: where each answer takes seconds, a look must not take minutes.
    owned, clusters, scale = await asyncio.gather(
        _owned(api, cluster, owner, mirror, release),
        api.list(API_VERSION, "BufferCluster"),
        _scale(api, cluster),
    )
    agents = owned.get(Key("apps/v1", "DaemonSet", owner.namespace, daemonset.name(owner)))
    orders = owned.get(Key("v1", "ConfigMap", owner.namespace, balancers.name(owner)))
    parting = balancers.key_of(owner) in owned and _without_balancers(cluster)
    world = World(
        cluster=cluster,
        clusters=_readable(clusters, BufferCluster.parse),
        nodes=tuple(mirror.nodes),
        buffer_nodes=tuple(mirror.buffer_nodes),
        owned={at: signature(live) for at, live in owned.items()},
        agents=_agents(agents),
        release=release,
        now=datetime.now(UTC),
        scale=scale,
        balancers=_balancers(owned.get(balancers.key_of(owner))),
        balancer_pods=await _balancer_pods(api, owner) if parting else (),
        parting_since=balancerconfig.parting_since(orders) if orders else None,
        buffers_capacity=mirror.buffers_capacity,
        monitored=mirror.monitored,
        good_template=daemonset.good_template(agents) if agents else None,
    )
    if agents and (_may_be_outdated(cluster, owner, agents, release) or unheard(world)):
        return replace(world, pods=await _pods(api, owner))
    return world


def _without_balancers(cluster: BufferCluster) -> bool:
    return cluster.metadata.deletion_timestamp is not None or not balancers.wanted(cluster.spec)


def _may_be_outdated(cluster: BufferCluster, owner: Owner, agents: Manifest, release: Release) -> bool:
    """Thousands of pods are read only when some may be of another version than the one that is wanted."""
    wanted = daemonset.template_digest(daemonset.template(owner, cluster.spec, release))
    counts, meta = agents.get("status", {}), agents["metadata"]
    if cluster.status is None or cluster.status.rollout.phase != "Done":
        return True
    if wanted != daemonset.template_digest(agents["spec"]["template"]):
        return True
    seen = counts.get("observedGeneration", 0) == meta.get("generation", 0)
    return not seen or counts.get("updatedNumberScheduled", 0) < counts.get("desiredNumberScheduled", 0)


async def _pods_of(api: Cluster, owner: Owner, component: str) -> tuple[Manifest, ...]:
    chosen = f"{CLUSTER_LABEL}={owner.label},app.kubernetes.io/component={component}"
    return await api.list("v1", "Pod", owner.namespace, chosen)


async def _balancer_pods(api: Cluster, owner: Owner) -> tuple[BalancerPod, ...]:
    """One that is told to end already leaves its node to its successor, who is told; it obeys nothing more."""
    pods = await _pods_of(api, owner, balancers.COMPONENT)
    return tuple(balancer_pod(pod) for pod in pods if running_since(pod) and "deletionTimestamp" not in pod["metadata"])


def balancer_pod(pod: Manifest) -> BalancerPod:
    """Ready as the node's condition has it: of a node that is away the server takes that back, and nothing else."""
    status = pod["status"]
    return BalancerPod(
        name=pod["metadata"]["name"],
        started=all(each.get("started", False) for each in status["containerStatuses"]),
        ready=any(each["type"] == "Ready" and each["status"] == "True" for each in status.get("conditions", ())),
    )


async def _pods(api: Cluster, owner: Owner) -> tuple[AgentPod, ...]:
    return tuple(
        AgentPod(
            name=pod["metadata"]["name"],
            node=_node_of(pod),
            template=daemonset.template_digest(pod),
            leaving="deletionTimestamp" in pod["metadata"],
            since=running_since(pod),
            trouble=_trouble(pod),
        )
        for pod in await _pods_of(api, owner, daemonset.COMPONENT)
    )


def _trouble(pod: Manifest) -> str:
    """Empty while it runs, and while it is on its way."""
    states = [each.get("state", {}) for each in pod.get("status", {}).get("containerStatuses", ())]
    waits = [each["waiting"] for each in states if each.get("waiting", {}).get("reason", STARTING) != STARTING]
    return f"{waits[0]['reason']}: {waits[0].get('message', 'no reason was given')}" if waits else ""


def running_since(pod: Manifest) -> datetime | None:
    """A word of the node that is not younger is its predecessor's. The kubelet tells it by the clock that the agent
    has too; when the pod was made tells the API server, by its own."""
    states = [each.get("state", {}) for each in pod.get("status", {}).get("containerStatuses", ())]
    stamps = [each["running"]["startedAt"] for each in states if each.get("running", {}).get("startedAt")]
    return max(map(datetime.fromisoformat, stamps)) if stamps else None


def _node_of(pod: Manifest) -> str:
    """A pod of a DaemonSet that no scheduler has placed yet names its node in its affinity."""
    spec = pod.get("spec", {})
    if "nodeName" in spec:
        return str(spec["nodeName"])
    wanted = spec.get("affinity", {}).get("nodeAffinity", {}).get("requiredDuringSchedulingIgnoredDuringExecution", {})
    fields = [each for term in wanted.get("nodeSelectorTerms", ()) for each in term.get("matchFields", ())]
    return next((each["values"][0] for each in fields if each["key"] == "metadata.name"), "")


async def _scale(api: Cluster, cluster: BufferCluster) -> ScaleObject | None:
    """What cannot be read for good is told as a condition; the rest of the cluster does not wait for it."""
    at = scale_key(cluster)
    if at is None or cluster.spec.scaling.mode == "Off":
        return None
    try:
        found = await api.get(at, subresource="scale")
    except Invalid as error:
        return ScaleObject(refusal=str(error))
    if found is None:
        return ScaleObject(refusal=f"{at} does not exist: check scaling.driver.target")
    return ScaleObject(found.get("spec", {}).get("replicas", 0), found["metadata"]["resourceVersion"])


async def _owned(
    api: Cluster, cluster: BufferCluster, owner: Owner, mirror: Mirror, release: Release
) -> dict[Key, Manifest]:
    """Of one that goes, also what it has from when its mesh was secured, or had zones."""
    kinds = [*OWNED]
    if mirror.monitored:
        kinds.append((monitors.API_VERSION, monitors.KIND))
    if mirror.buffers_capacity:
        kinds += [(capacity.API_VERSION, capacity.KIND), ("v1", "PodTemplate")]
    chosen = f"{CLUSTER_LABEL}={owner.label}"
    going = cluster.metadata.deletion_timestamp is not None
    lists = [api.list(api_version, kind, owner.namespace, chosen) for api_version, kind in kinds]
    shared = [api.get(key(wanted)) for wanted in _shared(owner, release, going=going)]
    listed, single = await asyncio.gather(asyncio.gather(*lists), asyncio.gather(*shared))
    return {key(live): live for live in (*(each for found in listed for each in found), *single) if live is not None}


def _shared(owner: Owner, release: Release, *, going: bool) -> tuple[Manifest, ...]:
    return access.render(owner, secured=release.secured or going, zoned=release.zoned or going)


def _readable(stored: tuple[Manifest, ...], parse: Callable[[Manifest], Parsed]) -> tuple[Parsed, ...]:
    """One object that does not parse must not stop the work on all others; its own cluster reports it."""
    found = []
    for manifest in stored:
        try:
            found.append(parse(manifest))
        except Invalid as error:
            log.warning("object_unreadable", object=str(key(manifest)), error=str(error))
    return tuple(found)


def _balancers(live: Manifest | None) -> Agents:
    counts = (live or {}).get("status", {})
    return Agents(counts.get("replicas", 0), counts.get("readyReplicas", 0), counts.get("updatedReplicas", 0))


def _agents(live: Manifest | None) -> Agents:
    counts = (live or {}).get("status", {})
    return Agents(
        desired=counts.get("desiredNumberScheduled", 0),
        ready=counts.get("numberReady", 0),
        updated=counts.get("updatedNumberScheduled", 0),
    )
