"""Services of class sentinel.io/buffer, served: one look at what is known, one plan, and what it changes is written.

Called with each look at a BufferCluster, whose Services and nodes the watches mirror. It writes the Services' status,
an Event where something is wrong that a person must mend, and the balancers' ConfigMap.
"""

import asyncio
import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sentinel_api.v1alpha1.balancerconfig import BalancerConfig
from sentinel_operator.cluster import Cluster
from sentinel_operator.decide.newcomers import Newcomers
from sentinel_operator.decide.services import (
    ADDRESS_ANNOTATION,
    CONDITION,
    Answer,
    Claim,
    Family,
    ServiceKey,
    Wanted,
    assigned,
    claimed_by,
)
from sentinel_operator.decide.world import World
from sentinel_operator.objects import FIELD_MANAGER, SLICE_LABEL, Key, Manifest, is_local, signature, signed
from sentinel_operator.render import balancerconfig, balancers
from sentinel_operator.render.balancerconfig import AFFINITY_SECONDS, BufferNodeAddress, Served

FAMILIES: Final[Mapping[str, Family]] = {"IPv4": 4, "IPv6": 6}


@dataclass(frozen=True, slots=True)
class Summary:
    """For the cluster's own condition: how many Services are served, and the first sentence of those that are not."""

    served: int = 0
    refused: Mapping[ServiceKey, Answer] = field(default_factory=dict)
    again_s: float | None = None  # when a node that waits may be let in


async def serve(api: Cluster, world: World, services: Sequence[Manifest], newcomers: Newcomers) -> Summary:
    """`services`: all of our class. Idempotent: without a change nothing is written."""
    answers = _answers(world, services)
    for manifest in services:
        answer = answers.get(_key(manifest))
        if answer is not None:
            await _tell(api, manifest, answer, world.now)
    local = [_key(each) for each in services if _key(each) in answers and is_local(each)]
    found = await asyncio.gather(*(_ready_nodes(api, each) for each in local))
    ready = dict(zip(local, found, strict=True))
    owner = world.owner
    stored = await api.get(Key("v1", "ConfigMap", owner.namespace, balancers.name(owner)))
    assigned_ones = [each for each in services if _key(each) in answers and answers[_key(each)].assigned]
    places = {_key(each): _place(each, answers[_key(each)]) for each in assigned_ones}
    here = {place: ready[key] for key, place in places.items() if key in ready}
    ours = frozenset(each.name for each in _buffer_nodes(world))
    told = newcomers.admitted(here, balancerconfig.sent_to(stored), ours, world.now)
    served = [_served(each, answers[_key(each)].addresses, told.get(places[_key(each)])) for each in assigned_ones]
    wanted = signed(balancerconfig.render(owner, _config(world, served)))
    if stored is None or signature(stored) != signature(wanted):
        await api.apply(wanted)
    refused = {key: each for key, each in answers.items() if not each.assigned}
    return Summary(len(answers) - len(refused), refused, newcomers.next_in_s(world.now))


async def give_up(api: Cluster, world: World, services: Sequence[Manifest]) -> None:
    """Before this cluster's balancers go: whose address nobody else gives is told that it has none, and why."""
    own = f"{world.owner.namespace}/{world.owner.name}"
    others = {name: pool for name, pool in _pools(world).items() if name != own}
    for manifest in services:
        claim = _claim(manifest, others)
        if not claim.cluster and wanted_of(manifest).held:
            await _tell(api, manifest, Answer((), "AddressRefused", claim.message), world.now)


def _pools(world: World) -> dict[str, tuple[str, ...]]:
    return {
        f"{each.metadata.namespace}/{each.metadata.name}": each.spec.load_balancer.address_pool
        for each in world.clusters
        if each.spec.load_balancer.address_pool
    }


def _claim(manifest: Manifest, pools: Mapping[str, Sequence[str]]) -> Claim:
    return claimed_by(manifest["metadata"].get("annotations", {}), pools, wanted_of(manifest).held)


def _answers(world: World, services: Sequence[Manifest]) -> dict[ServiceKey, Answer]:
    """Of the Services that this cluster serves; one that nobody may serve is told so by the first cluster alone."""
    own = f"{world.owner.namespace}/{world.owner.name}"
    pools = _pools(world)
    wanted, unclaimed = [], {}
    for manifest in services:
        claim = _claim(manifest, pools)
        if claim.cluster == own:
            wanted.append(wanted_of(manifest))
        elif not claim.cluster and next(iter(pools), "") == own:
            unclaimed[_key(manifest)] = Answer((), "AddressRefused", claim.message)
    return assigned(world.cluster.spec.load_balancer.address_pool, wanted) | unclaimed


def wanted_of(manifest: Manifest) -> Wanted:
    """What a Service of our class asks for; addresses that are none are left out, and so never given."""
    spec, meta = manifest["spec"], manifest["metadata"]
    asked = meta.get("annotations", {}).get(ADDRESS_ANNOTATION, "") or spec.get("loadBalancerIP", "")
    held = [each.get("ip", "") for each in manifest.get("status", {}).get("loadBalancer", {}).get("ingress") or ()]
    return Wanted(
        key=_key(manifest),
        created=str(meta.get("creationTimestamp", "")),
        ports=tuple((port["port"], port.get("protocol", "TCP")) for port in spec["ports"]),
        families=tuple(FAMILIES[each] for each in spec.get("ipFamilies", ("IPv4",))),
        strict=spec.get("ipFamilyPolicy") != "PreferDualStack",
        asked_for=tuple(_addresses(asked.split(","))),
        held=tuple(_addresses(held)),
    )


def _addresses(texts: Iterable[str]) -> Iterable[str]:
    for text in texts:
        try:
            yield str(ipaddress.ip_address(text.strip()))
        except ValueError:
            continue


def _config(world: World, served: Sequence[Served]) -> BalancerConfig:
    status = world.cluster.status
    ids = dict(status.class_ids) if status else {}
    return balancerconfig.config(world.cluster, ids, _buffer_nodes(world), served)


def _buffer_nodes(world: World) -> list[BufferNodeAddress]:
    addresses = {node.name: node.addresses[0] for node in world.nodes if node.addresses}
    return [
        BufferNodeAddress(name, addresses[name], each.spec.desired_state == "Draining")
        for each in world.own_nodes
        if (name := each.metadata.name) in addresses and each.spec.desired_state != "Detached"
    ]


def _place(manifest: Manifest, answer: Answer) -> str:
    """Where balancers know the Service by: its first port, which is nobody else's on that address."""
    port = manifest["spec"]["ports"][0]
    return balancerconfig.place(answer.addresses[0], port["port"], port.get("protocol", "TCP"))


def _served(manifest: Manifest, addresses: tuple[str, ...], nodes: frozenset[str] | None) -> Served:
    spec = manifest["spec"]
    sticky = spec.get("sessionAffinity") == "ClientIP"
    timeout = spec.get("sessionAffinityConfig", {}).get("clientIP", {}).get("timeoutSeconds", AFFINITY_SECONDS)
    return Served(
        addresses=addresses,
        ports=tuple((port["port"], port.get("protocol", "TCP")) for port in spec["ports"]),
        nodes=nodes,
        sticky_seconds=timeout if sticky else 0,
    )


async def _ready_nodes(api: Cluster, service: ServiceKey) -> frozenset[str]:
    """Nodes with a ready pod of the Service; asked for where traffic must stay local, and nowhere else.

    Where no pod is ready, as when all nodes were too busy to be probed, those with any pod: new flows fail either way,
    and those that stand are served on, which they were not without the address."""
    slices = await api.list("discovery.k8s.io/v1", "EndpointSlice", service.namespace, f"{SLICE_LABEL}={service.name}")
    endpoints = [each for part in slices for each in part.get("endpoints") or () if each.get("nodeName")]
    ready = [each for each in endpoints if each.get("conditions", {}).get("ready", True)]
    return frozenset(each["nodeName"] for each in ready or endpoints)


async def _tell(api: Cluster, manifest: Manifest, answer: Answer, now: datetime) -> None:
    status = manifest.get("status", {})
    ingress = [{"ip": each, "ipMode": "VIP"} for each in answer.addresses]
    held = [each.get("ip") for each in status.get("loadBalancer", {}).get("ingress") or ()]
    others = [each for each in status.get("conditions") or () if each["type"] != CONDITION]
    before: Mapping[str, Any] = next((each for each in status.get("conditions") or () if each["type"] == CONDITION), {})
    condition = _condition(answer, before, now)
    if held == list(answer.addresses) and condition == before:
        return
    at = Key("v1", "Service", manifest["metadata"]["namespace"], manifest["metadata"]["name"])
    body = {"loadBalancer": {"ingress": ingress or None}, "conditions": [*others, condition]}
    await api.merge(at, {"status": body}, subresource="status")
    if not answer.assigned and before.get("message") != answer.message:
        await api.create(_event(manifest, answer, now))


def _condition(answer: Answer, before: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    status = "True" if answer.assigned else "False"
    since = before.get("lastTransitionTime") if before.get("status") == status else None
    return {
        "type": CONDITION,
        "status": status,
        "reason": answer.reason,
        "message": answer.message,
        "lastTransitionTime": since or now.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _event(manifest: Manifest, answer: Answer, now: datetime) -> Manifest:
    meta = manifest["metadata"]
    at = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {
            "name": f"{meta['name']}.{answer.reason.lower()}.{int(now.timestamp()):x}",
            "namespace": meta["namespace"],
        },
        "involvedObject": {
            "apiVersion": "v1",
            "kind": "Service",
            "name": meta["name"],
            "namespace": meta["namespace"],
            "uid": meta.get("uid", ""),
        },
        "reason": answer.reason,
        "message": answer.message,
        "type": "Warning",
        "source": {"component": FIELD_MANAGER},
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
    }


def _key(manifest: Manifest) -> ServiceKey:
    return ServiceKey(manifest["metadata"]["namespace"], manifest["metadata"]["name"])
