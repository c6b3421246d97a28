"""All that the planner may know, frozen; the observer fills it in one pass."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sentinel_api.v1alpha1.buffercluster import BufferCluster
from sentinel_api.v1alpha1.buffernode import BufferNode
from sentinel_operator.objects import Key
from sentinel_operator.render.base import Owner
from sentinel_operator.render.daemonset import Release


@dataclass(frozen=True, slots=True)
class Node:
    """A node of Kubernetes, as far as it matters here."""

    name: str
    uid: str
    labels: Mapping[str, str]
    ready: bool
    schedulable: bool = True
    taken_by: str = ""  # the cluster whose autoscaler gave it its role; empty when a person did
    resource_version: str = ""


@dataclass(frozen=True, slots=True)
class Agents:
    """How the DaemonSet says its pods do."""

    desired: int = 0
    ready: int = 0
    updated: int = 0


@dataclass(frozen=True, slots=True)
class ScaleObject:
    """The `/scale` that driver ScaleSubresource writes, or the sentence why it cannot be read."""

    replicas: int = 0
    resource_version: str = ""
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class World:
    cluster: BufferCluster
    clusters: tuple[BufferCluster, ...]  # every BufferCluster of the API server, this one too
    nodes: tuple[Node, ...]  # every node of Kubernetes
    buffer_nodes: tuple[BufferNode, ...]  # every BufferNode, of all clusters
    owned: Mapping[Key, str]  # what exists of ours besides BufferNodes → digest of what was last applied
    agents: Agents
    release: Release
    now: datetime
    scale: ScaleObject | None = None  # None where no driver asks for one

    @property
    def owner(self) -> Owner:
        meta = self.cluster.metadata
        return Owner(meta.namespace or "", meta.name, meta.uid or "")

    @property
    def own_nodes(self) -> tuple[BufferNode, ...]:
        """The BufferNodes that refer to this cluster."""
        owner = self.owner
        return tuple(
            node for node in self.buffer_nodes
            if (node.spec.cluster_ref.namespace, node.spec.cluster_ref.name) == (owner.namespace, owner.name)
        )  # fmt: skip
