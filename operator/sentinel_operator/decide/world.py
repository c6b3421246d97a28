"""All that the planner may know, frozen; the observer fills it in one pass."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from sentinel_api.v1alpha1.buffercluster import BufferCluster
from sentinel_api.v1alpha1.buffernode import BufferNode, NodeForecast
from sentinel_operator.objects import Key, Manifest
from sentinel_operator.render.base import Owner, Release


@dataclass(frozen=True, slots=True)
class Node:
    """A node of Kubernetes, as far as it matters here."""

    name: str
    uid: str
    labels: Mapping[str, str]
    ready: bool
    schedulable: bool = True
    taken_by: str = ""  # the cluster whose autoscaler gave it its role; empty when a person did
    drain_asked: bool = False  # by a person
    taken_at: datetime | None = None  # while it is waited for
    resource_version: str = ""
    addresses: tuple[str, ...] = ()  # inside the cluster, of each family


@dataclass(frozen=True, slots=True)
class Agents:
    """How a DaemonSet or Deployment says its pods do."""

    desired: int = 0
    ready: int = 0
    updated: int = 0


@dataclass(frozen=True, slots=True)
class AgentPod:
    """A pod of the DaemonSet, and the digest of the template it was made from."""

    name: str
    node: str
    template: str
    leaving: bool = False
    since: datetime | None = None  # when its agent began, by the node's clock; None before
    trouble: str = ""  # why its container cannot start, in the kubelet's words


@dataclass(frozen=True, slots=True)
class BalancerPod:
    """A pod of the Deployment whose container runs."""

    name: str
    started: bool  # it has come to work, or has handed everything back
    ready: bool  # it works, or has not obeyed yet


@dataclass(frozen=True, slots=True)
class ScaleObject:
    """The `/scale` that driver ScaleSubresource writes, or the sentence why it cannot be read."""

    replicas: int = 0
    resource_version: str = ""
    refusal: str = ""


@dataclass(frozen=True)  # without slots: what is derived from thousands of nodes is derived once
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
    pods: tuple[AgentPod, ...] | None = None  # only while it rolls out, or a silent node leaves; None: all current
    balancers: Agents = Agents()
    balancer_pods: tuple[BalancerPod, ...] = ()  # read only while balancers are on their way out
    parting_since: datetime | None = None  # when they were told so
    buffers_capacity: bool = False  # the cluster knows CapacityBuffers
    monitored: bool = False  # the cluster knows PodMonitors
    good_template: Manifest | None = None  # of the agents' pods, as all nodes last ran it
    served: frozenset[str] | None = None  # nodes that balancers send new traffic to; None: nobody says
    heard: Mapping[str, NodeForecast] = field(default_factory=dict)  # node → what it said in the mesh a moment ago

    @cached_property
    def owner(self) -> Owner:
        meta = self.cluster.metadata
        return Owner(meta.namespace or "", meta.name, meta.uid or "")

    @cached_property
    def own_nodes(self) -> tuple[BufferNode, ...]:
        """The BufferNodes that refer to this cluster."""
        ours = (self.owner.namespace, self.owner.name)
        return tuple(node for node in self.buffer_nodes if self.holders[node.metadata.name] == ours)

    @cached_property
    def holders(self) -> Mapping[str, tuple[str, str]]:
        """Node → the cluster that its BufferNode refers to, as (namespace, name)."""
        refs = ((node.metadata.name, node.spec.cluster_ref) for node in self.buffer_nodes)
        return {name: (ref.namespace, ref.name) for name, ref in refs}

    @cached_property
    def living(self) -> frozenset[tuple[str, str]]:
        """Every BufferCluster there is, as (namespace, name)."""
        return frozenset((c.metadata.namespace or "", c.metadata.name) for c in self.clusters)
