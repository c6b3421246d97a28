"""What the watches told of nodes, orders and Services, kept as values, so that a look at a cluster lists none of them.

A watch may be late, stall or tell things twice: the newest version of an object wins, what the operator wrote itself
is kept from the server's own answer, and a whole list, taken now and then, settles the rest.
"""

import asyncio
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

import structlog

from sentinel_api.errors import Invalid
from sentinel_api.names import LOAD_BALANCER_CLASS
from sentinel_api.v1alpha1.buffernode import BufferNode
from sentinel_operator.decide.world import Node
from sentinel_operator.due import ClusterName
from sentinel_operator.objects import DRAIN_ASKED, TAKEN_AT, TAKEN_BY, Manifest, instant, key

Value = TypeVar("Value")
log = structlog.get_logger()


@dataclass(slots=True)
class _Entry(Generic[Value]):
    version: int
    value: Value | None  # None for what does not parse: it is there, and nobody can use it
    essence: object


@dataclass(slots=True)
class Shelf(Generic[Value]):
    """The objects of one kind. `parse` answers None for an object that is nobody's concern here."""

    parse: Callable[[Manifest], Value | None]
    essence: Callable[[Value], object]
    version: int = 0  # of the last whole list
    _entries: dict[tuple[str, str], _Entry[Value]] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Value]:
        return (entry.value for entry in self._entries.values() if entry.value is not None)

    def __len__(self) -> int:
        return len(self._entries)

    def keep(self, manifest: Manifest) -> bool:
        """Whether something changed that a plan may depend on; numbers that only scaling reads do not count."""
        name, version = _name(manifest), version_of(manifest)
        before = self._entries.get(name)
        if before is not None and version <= before.version:
            return False
        value = self._parsed(manifest)
        essence = None if value is None else self.essence(value)
        self._entries[name] = _Entry(version, value, essence)
        return essence != (None if before is None else before.essence)

    def drop(self, manifest: Manifest) -> bool:
        """An older life of an object that was made anew since is not dropped."""
        before = self._entries.get(_name(manifest))
        if before is None or version_of(manifest) < before.version:
            return False
        del self._entries[_name(manifest)]
        return before.value is not None

    def settle(self, manifests: Collection[Manifest], version: int) -> None:
        """A whole list, as of `version`: what it lacks is gone, unless it came later."""
        self.forget_others(self.take(manifests), version)

    def take(self, manifests: Collection[Manifest]) -> set[tuple[str, str]]:
        """A part of a list; answers what was in it."""
        for manifest in manifests:
            self.keep(manifest)
        return {_name(manifest) for manifest in manifests}

    def forget_others(self, listed: set[tuple[str, str]], version: int) -> None:
        for name in [n for n, e in self._entries.items() if n not in listed and e.version <= version]:
            del self._entries[name]
        self.version = max(self.version, version)

    def _parsed(self, manifest: Manifest) -> Value | None:
        """One object that does not parse must not stop the work on all others; its own cluster reports it."""
        try:
            return self.parse(manifest)
        except Invalid as error:
            log.warning("object_unreadable", object=str(key(manifest)), error=str(error))
            return None


def _name(manifest: Manifest) -> tuple[str, str]:
    return manifest["metadata"].get("namespace", ""), manifest["metadata"]["name"]


def version_of(listed: Manifest) -> int:
    """Of an object or a list. Versions of one kind grow; Kubernetes has promised since 1.35 what always held."""
    return int(listed["metadata"].get("resourceVersion") or 0)


def node_of(manifest: Manifest) -> Node:
    conditions = manifest.get("status", {}).get("conditions", ())
    meta = manifest["metadata"]
    return Node(
        name=meta["name"],
        uid=meta["uid"],
        labels=dict(meta.get("labels", {})),
        ready=any(c["type"] == "Ready" and c["status"] == "True" for c in conditions),
        schedulable=not manifest.get("spec", {}).get("unschedulable", False),
        taken_by=meta.get("annotations", {}).get(TAKEN_BY, ""),
        drain_asked=DRAIN_ASKED in meta.get("annotations", {}),
        taken_at=instant(meta.get("annotations", {}).get(TAKEN_AT, "")),
        resource_version=meta["resourceVersion"],
        addresses=tuple(
            each["address"] for each in manifest.get("status", {}).get("addresses", ()) if each["type"] == "InternalIP"
        ),
    )


@dataclass(slots=True)
class Mirror:
    """`clusters`: those that were seen, with what of them is the user's, so that our own writes do not call us."""

    nodes: Shelf[Node] = field(default_factory=lambda: Shelf(node_of, _node_essence))
    buffer_nodes: Shelf[BufferNode] = field(default_factory=lambda: Shelf(BufferNode.parse, _order_essence))
    services: Shelf[Manifest] = field(default_factory=lambda: Shelf(_of_our_class, _service_essence))
    clusters: dict[ClusterName, object] = field(default_factory=dict)
    buffers_capacity: bool = False  # whether the cluster knows CapacityBuffers
    monitored: bool = False  # whether the cluster knows PodMonitors
    listed_at_s: float | None = None  # on the clock of the event loop; None before the first list
    filled: asyncio.Event = field(default_factory=asyncio.Event)  # by the first list
    known: asyncio.Event = field(default_factory=asyncio.Event)  # that the server has all our kinds

    def keep(self, manifest: Manifest) -> bool:
        """Of any kind; what is not mirrored changes nothing here."""
        shelf = self._shelf(manifest)
        return shelf is not None and shelf.keep(manifest)

    def drop(self, manifest: Manifest) -> bool:
        shelf = self._shelf(manifest)
        return shelf is not None and shelf.drop(manifest)

    def asks_anew(self, manifest: Manifest) -> bool:
        """Whether the user changed a BufferCluster; its status and our bookkeeping do not count."""
        meta = manifest["metadata"]
        name = ClusterName(meta["namespace"], meta["name"])
        asked = tuple(repr(meta.get(part)) for part in ("uid", "generation", "deletionTimestamp", "annotations"))
        changed = self.clusters.get(name) != asked
        self.clusters[name] = asked
        return changed

    def _shelf(self, manifest: Manifest) -> Shelf[Node] | Shelf[BufferNode] | Shelf[Manifest] | None:
        match manifest.get("kind"):
            case "Node":
                return self.nodes
            case "BufferNode":
                return self.buffer_nodes
            case "Service":
                return self.services
            case _:
                return None


def _of_our_class(manifest: Manifest) -> Manifest | None:
    spec = manifest["spec"]
    ours = spec.get("type") == "LoadBalancer" and spec.get("loadBalancerClass") == LOAD_BALANCER_CLASS
    return manifest if ours else None


def _service_essence(manifest: Manifest) -> object:
    """What others wrote into the status counts too: an address that went away is given anew."""
    meta = manifest["metadata"]
    return manifest["spec"], manifest.get("status"), meta.get("annotations"), meta.get("deletionTimestamp")


def _node_essence(node: Node) -> object:
    """All but the version, which moves at every heartbeat."""
    return replace(node, resource_version="")


def _order_essence(node: BufferNode) -> object:
    """All but the amounts, which move at every report."""
    said = node.status
    if said is None:
        return node.spec, node.metadata.annotations
    ready = tuple((c.type, c.status, c.reason) for c in said.conditions)
    tier = said.data_plane.tier if said.data_plane else ""
    return (
        node.spec, node.metadata.annotations, said.state, said.config_digest, said.versions.agent, tier, ready,
        said.forecast is not None, said.scores.trusted,
    )  # fmt: skip
