"""Services of class sentinel.io/buffer, served: one look at the API server, one plan, and what it changes is written.

Called with each look at a BufferCluster; it writes the Services' status, an Event where something is wrong that a
person must mend, and the balancers' ConfigMap.
"""

import ipaddress
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sentinel_api.names import API_VERSION, LOAD_BALANCER_CLASS
from sentinel_api.v1alpha1.buffercluster import BufferCluster
from sentinel_operator.cluster import Cluster
from sentinel_operator.decide.services import (
    ADDRESS_ANNOTATION,
    CONDITION,
    Answer,
    Family,
    ServiceKey,
    Wanted,
    assigned,
    claimed_by,
)
from sentinel_operator.objects import Key, Manifest, signature, signed
from sentinel_operator.render import balancerconfig, balancers
from sentinel_operator.render.balancerconfig import AFFINITY_SECONDS, BufferNodeAddress, Served
from sentinel_operator.render.base import Owner

FAMILIES: Final[Mapping[str, Family]] = {"IPv4": 4, "IPv6": 6}
SLICE_LABEL: Final = "kubernetes.io/service-name"


@dataclass(frozen=True, slots=True)
class Look:
    """What is there of Services and nodes; `pools` are the clusters that have one, as NAMESPACE/NAME."""

    services: tuple[Manifest, ...]
    slices: tuple[Manifest, ...]
    nodes: tuple[Manifest, ...]
    buffer_nodes: tuple[Manifest, ...]
    pools: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Summary:
    """For the cluster's own condition: how many Services are served, and the first sentence of those that are not."""

    served: int = 0
    refused: Mapping[ServiceKey, Answer] = field(default_factory=dict)


async def serve(api: Cluster, cluster: BufferCluster, owner: Owner, now: datetime) -> Summary:
    """Idempotent: without a change nothing is written."""
    look = await _look(api)
    mine = [each for each in look.services if _is_ours(each)]
    answers = _answers(cluster, mine, look)
    for manifest in mine:
        answer = answers.get(_key(manifest))
        if answer is not None:
            await _tell(api, manifest, answer, now)
    wanted = signed(balancerconfig.render(owner, _config(cluster, look, answers)))
    stored = await api.get(Key("v1", "ConfigMap", owner.namespace, balancers.name(owner)))
    if stored is None or signature(stored) != signature(wanted):
        await api.apply(wanted)
    refused = {key: each for key, each in answers.items() if not each.assigned}
    return Summary(len(answers) - len(refused), refused)


async def _look(api: Cluster) -> Look:
    clusters = await api.list(API_VERSION, "BufferCluster")
    return Look(
        services=await api.list("v1", "Service"),
        slices=await api.list("discovery.k8s.io/v1", "EndpointSlice"),
        nodes=await api.list("v1", "Node"),
        buffer_nodes=await api.list(API_VERSION, "BufferNode"),
        pools=tuple(
            f"{each['metadata']['namespace']}/{each['metadata']['name']}"
            for each in clusters
            if each["spec"].get("loadBalancer", {}).get("addressPool")
        ),
    )


def _answers(cluster: BufferCluster, mine: Sequence[Manifest], look: Look) -> dict[ServiceKey, Answer]:
    """Of the Services that this cluster serves; one that nobody may serve is told so by the first cluster alone."""
    own = f"{cluster.metadata.namespace}/{cluster.metadata.name}"
    wanted, unclaimed = [], {}
    for manifest in mine:
        claim = claimed_by(manifest["metadata"].get("annotations", {}), look.pools)
        if claim.cluster == own:
            wanted.append(wanted_of(manifest))
        elif not claim.cluster and look.pools[:1] == (own,):
            unclaimed[_key(manifest)] = Answer((), "AddressRefused", claim.message)
    return assigned(cluster.spec.load_balancer.address_pool, wanted) | unclaimed


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


def _config(cluster: BufferCluster, look: Look, answers: Mapping[ServiceKey, Answer]) -> Any:
    ids = dict(cluster.status.class_ids) if cluster.status else {}
    addresses = {each["metadata"]["name"]: _internal(each) for each in look.nodes}
    nodes = [
        BufferNodeAddress(name, addresses[name], each["spec"].get("desiredState") == "Draining")
        for each in look.buffer_nodes
        if (name := each["metadata"]["name"]) in addresses and addresses[name] and _belongs(each, cluster)
    ]
    served = [
        _served(manifest, answers[_key(manifest)].addresses, look.slices)
        for manifest in look.services
        if _key(manifest) in answers and answers[_key(manifest)].assigned
    ]
    return balancerconfig.config(cluster, ids, nodes, served)


def _belongs(buffer_node: Manifest, cluster: BufferCluster) -> bool:
    ref = buffer_node["spec"].get("clusterRef", {})
    detached = buffer_node["spec"].get("desiredState") == "Detached"
    return not detached and (ref.get("namespace"), ref.get("name")) == (
        cluster.metadata.namespace,
        cluster.metadata.name,
    )


def _internal(node: Manifest) -> str:
    found = node.get("status", {}).get("addresses", ())
    return next((each["address"] for each in found if each["type"] == "InternalIP"), "")


def _served(manifest: Manifest, addresses: tuple[str, ...], slices: Iterable[Manifest]) -> Served:
    spec = manifest["spec"]
    local = spec.get("externalTrafficPolicy") == "Local"
    sticky = spec.get("sessionAffinity") == "ClientIP"
    timeout = spec.get("sessionAffinityConfig", {}).get("clientIP", {}).get("timeoutSeconds", AFFINITY_SECONDS)
    return Served(
        addresses=addresses,
        ports=tuple((port["port"], port.get("protocol", "TCP")) for port in spec["ports"]),
        nodes=_local_nodes(_key(manifest), slices) if local else None,
        sticky_seconds=timeout if sticky else 0,
    )


def _local_nodes(service: ServiceKey, slices: Iterable[Manifest]) -> frozenset[str]:
    """Nodes with a ready pod of the Service."""
    return frozenset(
        endpoint["nodeName"]
        for each in slices
        if each["metadata"].get("namespace") == service.namespace
        and each["metadata"].get("labels", {}).get(SLICE_LABEL) == service.name
        for endpoint in each.get("endpoints") or ()
        if endpoint.get("nodeName") and endpoint.get("conditions", {}).get("ready", True)
    )


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
        "source": {"component": "sentinel-operator"},
        "firstTimestamp": at,
        "lastTimestamp": at,
        "count": 1,
    }


def _is_ours(manifest: Manifest) -> bool:
    spec = manifest["spec"]
    return bool(spec.get("type") == "LoadBalancer" and spec.get("loadBalancerClass") == LOAD_BALANCER_CLASS)


def _key(manifest: Manifest) -> ServiceKey:
    return ServiceKey(manifest["metadata"]["namespace"], manifest["metadata"]["name"])
