"""What a cluster's balancers obey: Services with their addresses and the buffer nodes, as one ConfigMap."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sentinel_api.errors import Invalid
from sentinel_api.v1alpha1.balancerconfig import BackendSpec, BalancerConfig, VipSpec
from sentinel_api.v1alpha1.buffercluster import BufferCluster, BufferClusterSpec
from sentinel_api.v1alpha1.nodeconfig import CONFIG_FILE
from sentinel_api.v1alpha1.trafficclass import class_ids
from sentinel_operator.objects import PARTING_SINCE, Manifest, instant
from sentinel_operator.render import balancers
from sentinel_operator.render.base import Owner, namespaced

AFFINITY_SECONDS = 10_800  # what Kubernetes takes where a Service names no timeout


@dataclass(frozen=True, slots=True)
class Served:
    """A Service with its addresses. `nodes` None: every node serves it; else those that have one of its pods."""

    addresses: tuple[str, ...]
    ports: tuple[tuple[int, str], ...]
    nodes: frozenset[str] | None = None
    sticky_seconds: int = 0


@dataclass(frozen=True, slots=True)
class BufferNodeAddress:
    name: str
    address: str
    draining: bool = False


def config(
    cluster: BufferCluster, ids: dict[str, int], nodes: Iterable[BufferNodeAddress], served: Iterable[Served]
) -> BalancerConfig:
    """`ids` is `status.classIds`: from it a new class gets the number here that it gets on the nodes, by whose numbers
    readiness is told."""
    spec = cluster.spec
    backends = tuple(
        BackendSpec(name=each.name, address=each.address, draining=each.draining)
        for each in sorted(nodes, key=lambda node: node.name)
    )
    known = frozenset(each.name for each in backends)
    return BalancerConfig(
        encapsulation=spec.load_balancer.encapsulation,
        traffic_classes=spec.traffic_classes,
        class_ids=class_ids((each.name for each in spec.traffic_classes), ids),
        backends=backends,
        vips=tuple(vip for each in served for vip in _vips(each, known)),
        announce=spec.load_balancer.announce,
        drain_seconds=spec.load_balancer.drain_seconds,
        probe_interval_millis=spec.load_balancer.probe_interval_millis,
    )


def farewell(owner: Owner, spec: BufferClusterSpec) -> Manifest:
    """By which balancers that shall go hand everything back: addresses too, where and how they told of them."""
    return render(owner, BalancerConfig(detached=True, announce=spec.load_balancer.announce))


def dated(order: Manifest, now: datetime) -> Manifest:
    """With when it was given, outside of what is signed: so that it outlives the operator that gave it."""
    meta = order["metadata"]
    return {**order, "metadata": {**meta, "annotations": {**meta["annotations"], PARTING_SINCE: now.isoformat()}}}


def parting_since(live: Manifest) -> datetime | None:
    return instant(live["metadata"].get("annotations", {}).get(PARTING_SINCE, ""))


def place(address: str, port: int, protocol: str) -> str:
    return f"{address} {port}/{protocol}"


def sent_to(stored: Manifest | None) -> dict[str, frozenset[str]]:
    """From what balancers are told now: which nodes get the flows of each place. What somebody else wrote there, and
    nobody can read, is as nothing: it is about to be written anew."""
    text = (stored or {}).get("data", {}).get(CONFIG_FILE, "{}")
    try:
        vips = BalancerConfig.parse(json.loads(text)).vips
    except (ValueError, AttributeError, Invalid):
        return {}
    return {place(each.address, each.port, each.protocol): frozenset(each.backends) for each in vips}


def render(owner: Owner, made: BalancerConfig) -> Manifest:
    """Sorted, so that equal configurations are equal texts and no balancer is woken for nothing."""
    text = json.dumps(made.wire(), sort_keys=True, separators=(",", ":"))
    return namespaced(owner, "v1", "ConfigMap", balancers.name(owner), balancers.COMPONENT, data={CONFIG_FILE: text})


def _vips(served: Served, known: frozenset[str]) -> Sequence[VipSpec]:
    """A Service whose pods are on no buffer node is not served at all: packets would end where nobody answers."""
    here = sorted(served.nodes & known) if served.nodes is not None else []
    if served.nodes is not None and not here:
        return ()
    return [
        VipSpec(
            address=address,
            port=port,
            protocol="UDP" if protocol == "UDP" else "TCP",
            backends=tuple(here),
            sticky=bool(served.sticky_seconds),
            idle_seconds=served.sticky_seconds or None,
        )
        for address in served.addresses
        for port, protocol in served.ports
    ]
