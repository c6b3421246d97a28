"""Drivers NodeLabel and CapacityBuffer: which spare nodes get the role, which give it back, drained first."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sentinel_api.names import CLUSTER_LABEL, ROLE_BUFFER, ROLE_LABEL, ZONE_LABEL
from sentinel_api.v1alpha1.buffernode import BufferNode
from sentinel_operator.decide import claims
from sentinel_operator.decide.world import Node, World
from sentinel_operator.render.buffernode import draining_since

CONTROL_PLANE_LABEL = "node-role.kubernetes.io/control-plane"
DRAIN_PATIENCE_S = 120  # flows that live longer move when the agent hands back
SETTLE = timedelta(seconds=15)  # balancers turn within a few seconds, and its load is a mean of the ten before
QUIET_SHARE = 100  # a node that carries less than a hundredth of its capacity has been left


@dataclass(frozen=True, slots=True)
class RoleChange:
    """The buffer role given to a node, or (with None) taken back; refused when somebody changed the node since."""

    node: str
    role: str | None
    taken_by: str | None
    resource_version: str
    taken_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Moves:
    roles: tuple[RoleChange, ...] = ()
    draining: Mapping[str, datetime] = field(default_factory=dict)  # node → since when
    missing: int = 0  # nodes asked for that no spare is left for


def moves(world: World) -> Moves:
    """From the target in the status alone: whoever leads after a crash finds the same moves, or those that are left."""
    scaling = world.cluster.spec.scaling
    target = world.cluster.status.scaling.target_nodes if world.cluster.status else None
    if target is None or scaling.driver.type == "ScaleSubresource" or scaling.mode not in ("ScaleOutOnly", "Auto"):
        return Moves()
    claimed = claims.claimed(world)
    if len(claimed) <= target:
        taken = _taken(world, claimed, target - len(claimed))
        return Moves(roles=tuple(_give(world, n) for n in taken), missing=target - len(claimed) - len(taken))
    return _given_back(world, claimed, len(claimed) - target) if scaling.mode == "Auto" else Moves()


def returned(world: World) -> tuple[RoleChange, ...]:
    """When the cluster goes, the nodes that its autoscaler took are spare again."""
    return tuple(_take_back(node) for node in world.nodes if node.taken_by == world.owner.label)


def _taken(world: World, claimed: Iterable[Node], count: int) -> tuple[Node, ...]:
    """One by one from the zone that has fewest of ours; the name decides, so that every replica finds the same."""
    free = [node for node in world.nodes if _spare(world, node)]
    zones = Counter(_zone(node) for node in claimed)
    taken: list[Node] = []
    while free and len(taken) < count:
        best = min(free, key=lambda node: (zones[_zone(node)], node.name))
        free.remove(best)
        zones[_zone(best)] += 1
        taken.append(best)
    return tuple(taken)


def _spare(world: World, node: Node) -> bool:
    asked = world.cluster.spec.scaling.driver.spare_node_selector
    if ROLE_LABEL in node.labels or not node.ready or not node.schedulable:
        return False
    if CONTROL_PLANE_LABEL in node.labels and CONTROL_PLANE_LABEL not in asked:
        return False
    bound = node.labels.get(CLUSTER_LABEL, world.owner.label) == world.owner.label
    return bound and asked.items() <= node.labels.items() and claims.would_be_ours(world, node)


def _given_back(world: World, claimed: tuple[Node, ...], count: int) -> Moves:
    """Those that drain already, then those that are down, then from the fullest zone what costs least to move."""
    orders = {node.metadata.name: node for node in world.own_nodes}
    zones = Counter(_zone(node) for node in claimed)
    left, leaving = list(claimed), []
    for _ in range(count):
        best = min(left, key=lambda node: _worth(world, node, orders.get(node.name), zones[_zone(node)]))
        left.remove(best)
        zones[_zone(best)] -= 1
        leaving.append(best)
    done = [node for node in leaving if _drained(world, orders.get(node.name))]
    return Moves(
        roles=tuple(_take_back(node) for node in done),
        draining={node.name: _since(world, orders.get(node.name)) for node in leaving},
    )


def _worth(world: World, node: Node, order: BufferNode | None, in_zone: int) -> tuple[bool, bool, int, bool, int, str]:
    """Sorts the node that is missed least first."""
    draining = order is not None and draining_since(order) is not None
    carries = _carries(order)
    return (not draining, node.ready, -in_zone, node.taken_by != world.owner.label, carries, node.name)


def _drained(world: World, order: BufferNode | None) -> bool:
    """Left by its flows as its agent says, or given up after a time. An agent that is silent says nothing about
    flows: what it would count passes its node all the same."""
    since = draining_since(order) if order else None
    if order is None or since is None:
        return False
    return (world.now - since).total_seconds() >= DRAIN_PATIENCE_S or _left(world, order, since)


def _left(world: World, order: BufferNode, since: datetime) -> bool:
    said = order.status
    if said is None or said.forecast is None:
        return False
    obeyed = said.state == "Draining" and said.forecast.observed_at >= since + SETTLE
    return obeyed and _carries(order) * QUIET_SHARE <= world.cluster.spec.scaling.node_capacity_bytes_per_second


def _carries(order: BufferNode | None) -> int:
    said = order.status.forecast if order and order.status else None
    return said.demand_bytes_per_second if said else 0


def _since(world: World, order: BufferNode | None) -> datetime:
    return (order and draining_since(order)) or world.now


def _zone(node: Node) -> str:
    return node.labels.get(ZONE_LABEL, "")


def _give(world: World, node: Node) -> RoleChange:
    return RoleChange(node.name, ROLE_BUFFER, world.owner.label, node.resource_version, world.now)


def _take_back(node: Node) -> RoleChange:
    return RoleChange(node.name, None, None, node.resource_version)
