"""World to Plan: what to write, what to delete, which nodes to label. Every branch of the operator is here."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sentinel_api.names import CLUSTER_LABEL, FINALIZER, ROLE_EDGE, ROLE_LABEL
from sentinel_api.v1alpha1.buffernode import BufferNode
from sentinel_api.v1alpha1.clusterstatus import Rollout
from sentinel_api.v1alpha1.nodeconfig import NodeConfig, node_config
from sentinel_operator.decide import claims, spares, zones
from sentinel_operator.decide.changeover import Changeover, changeover
from sentinel_operator.decide.leadtime import Arrived, arrived, asked_at
from sentinel_operator.decide.leaving import leaving
from sentinel_operator.decide.parting import Parting, parting
from sentinel_operator.decide.spares import RoleChange
from sentinel_operator.decide.world import Node, World
from sentinel_operator.objects import Key, Manifest, digest, key, signed
from sentinel_operator.render import (
    access,
    balancers,
    buffernode,
    capacity,
    configmap,
    daemonset,
    mesh,
    monitors,
    routers,
    service,
)

MAX_BALANCERS = 64  # addresses that a node's configuration holds
DETACH_PATIENCE_S = 60  # after this, deletion goes on without the agents that did not answer: their leases have ended


@dataclass(frozen=True, slots=True)
class Relabel:
    """Set or (with None) take away the label that binds a node to this cluster."""

    node: str
    value: str | None
    asked_at: datetime | None = None  # when a decision asked for it, where its driver does not choose nodes


@dataclass(frozen=True, slots=True)
class Plan:
    """Carried out in this order: finalizer, applies, roles, labels, numbers, deletes, and a released finalizer last."""

    finalizer: Literal["keep", "add", "release"] = "keep"
    nodes: int | None = None  # what spec.nodes should say; None leaves it alone
    replicas: int | None = None  # what the /scale of the driver's target should say
    apply: tuple[Manifest, ...] = ()
    roles: tuple[RoleChange, ...] = ()
    relabel: tuple[Relabel, ...] = ()
    delete: tuple[Key, ...] = ()
    config: NodeConfig | None = None
    blocked: str = ""  # a condition reason; empty when nothing stands in the way
    missing: int = 0  # nodes that scaling asks for and that no spare is left for
    rollout: Rollout | None = None  # what to write of it; None leaves it as it was
    arrived: tuple[Arrived, ...] = ()  # nodes whose lead time is known now

    @property
    def empty(self) -> bool:
        numbers = self.nodes is not None or self.replicas is not None
        return self.finalizer == "keep" and not (numbers or self.apply or self.roles or self.relabel or self.delete)


def plan(world: World) -> Plan:
    if world.cluster.metadata.deletion_timestamp is not None:
        return _farewell(world)
    if world.cluster.spec.paused:
        return Plan(blocked="Paused")
    nodes = claims.claimed(world)
    parted = leaving(world, {node.name for node in nodes})
    config = _config(world)
    change = changeover(world, nodes, config)
    moves = spares.moves(world)
    wanted = {key(m): m for m in _objects(world, config, change, moves.missing)}
    leave = Parting() if balancers.wanted(world.cluster.spec) else parting(world)
    held = FINALIZER in world.cluster.metadata.finalizers
    orders = _orders(world, nodes, change, {**_drained_by_hand(world, nodes), **moves.draining})
    return Plan(
        finalizer="keep" if held else "add",
        nodes=_nodes_asked_for(world) if held else None,
        replicas=_replicas_asked_for(world),
        apply=(*_changed(world, wanted), *orders, *_detach_orders(world, parted.detaching), *leave.orders),
        roles=moves.roles,
        relabel=_relabels(world, {node.name for node in nodes} | {n.metadata.name for n in parted.detaching}),
        delete=(
            *change.restart,
            *_stale(world, wanted, change.state, keep_balancers=leave.waits),
            *(buffernode.key_of(n.metadata.name) for n in parted.gone),
        ),
        config=config,
        missing=moves.missing,
        rollout=change.state,
        arrived=arrived(world),
    )


def report_seconds(node_count: int, writes_per_second: int) -> int:
    """CONTRACTS' max(10, nodes / 20), and slower still where the write budget asks for it."""
    return max(10, -(-node_count // 20), -(-node_count // writes_per_second))


def _config(world: World) -> NodeConfig:
    """With the edge nodes' addresses, where there are balancers: packets from elsewhere end no tunnel at a node."""
    config = node_config(world.cluster.spec, _known_ids(world))
    if not balancers.wanted(world.cluster.spec):
        return config
    asked = {**world.cluster.spec.load_balancer.node_selector, ROLE_LABEL: ROLE_EDGE}.items()
    edges = [node for node in world.nodes if asked <= node.labels.items()]
    found = sorted(f"{a}/{128 if ':' in a else 32}" for node in edges for a in node.addresses)
    return config.model_copy(update={"balancers": tuple(found[:MAX_BALANCERS])})


def _known_ids(world: World) -> dict[str, int]:
    return dict(world.cluster.status.class_ids) if world.cluster.status else {}


def _objects(world: World, config: NodeConfig, change: Changeover, missing: int) -> tuple[Manifest, ...]:
    owner, spec = world.owner, world.cluster.spec
    asks_for_room = spec.scaling.driver.type == "CapacityBuffer" and world.buffers_capacity
    return (
        *access.render(owner, secured=world.release.secured, zoned=world.release.zoned),
        configmap.render(owner, config),
        daemonset.render(owner, change.template, change.good_template),
        service.render(owner, spec),
        *_mesh(world),
        *balancers.render(owner, spec, world.release),
        *(capacity.render(owner, spec, world.release, missing) if asks_for_room else ()),
        *(monitors.render(owner, spec) if world.monitored else ()),
    )


def _mesh(world: World) -> tuple[Manifest, ...]:
    owner, release, found = world.owner, world.release, zones.zones(world)
    speakers = zones.speakers(world, found) if release.secured else ()
    if found is None:
        return mesh.render(owner, release, speakers)
    told = routers.file(owner, release, found)
    return (*mesh.render(owner, release, speakers, told), *routers.render(owner, world.cluster.spec, release, found))


def _changed(world: World, wanted: dict[Key, Manifest]) -> tuple[Manifest, ...]:
    return tuple(signed(m) for k, m in wanted.items() if world.owned.get(k) != digest(m))


def _stale(world: World, wanted: dict[Key, Manifest], rollout: Rollout, *, keep_balancers: bool) -> tuple[Key, ...]:
    """What an older operator made, and configurations that no node runs, is ordered to run or may go back to."""
    in_use = {n.spec.config_digest for n in world.own_nodes}
    in_use |= {rollout.good_config_digest} if rollout.good_config_digest else set()
    in_use |= {n.status.config_digest for n in world.own_nodes if n.status and n.status.config_digest}
    kept = {configmap.name(world.owner, d) for d in in_use}
    keep_balancers |= balancers.wanted(world.cluster.spec)
    kept |= {balancers.name(world.owner)} if keep_balancers else set()
    return tuple(sorted(k for k in world.owned if k not in wanted and k.name not in kept))


def _orders(
    world: World, nodes: tuple[Node, ...], change: Changeover, draining: Mapping[str, datetime]
) -> tuple[Manifest, ...]:
    """BufferNodes that are not there yet, or whose orders have changed."""
    pace = report_seconds(len(nodes), world.cluster.spec.reporting.max_writes_per_second)
    known = {n.metadata.name: n.spec for n in world.own_nodes}
    found = []
    orders = {c: buffernode.orders(world.owner, c, pace) for c in {change.configs[node.name] for node in nodes}}
    for node in nodes:
        active = orders[change.configs[node.name]]
        if node.name in draining:
            if known.get(node.name) != active.model_copy(update={"desired_state": "Draining"}):
                found.append(buffernode.render_draining(world.owner, node.name, node.uid, active, draining[node.name]))
        elif known.get(node.name) != active:
            found.append(buffernode.render(world.owner, node.name, node.uid, active))
    return tuple(found)


def _drained_by_hand(world: World, nodes: tuple[Node, ...]) -> dict[str, datetime]:
    """Such a node keeps its role: whoever asked for it takes the wish back."""
    orders = {order.metadata.name: order for order in world.own_nodes}
    asked = (node.name for node in nodes if node.drain_asked)
    return {name: (name in orders and buffernode.draining_since(orders[name])) or world.now for name in asked}


def _target(world: World) -> int | None:
    return world.cluster.status.scaling.target_nodes if world.cluster.status else None


def _nodes_asked_for(world: World) -> int | None:
    """In mode Auto spec.nodes is the operator's, so that people and `kubectl scale` see what holds."""
    spec, target = world.cluster.spec, _target(world)
    return target if spec.scaling.mode == "Auto" and spec.nodes != target else None


def _replicas_asked_for(world: World) -> int | None:
    scale, target, mode = world.scale, _target(world), world.cluster.spec.scaling.mode
    if scale is None or scale.refusal or target is None or scale.replicas == target:
        return None
    may = mode == "Auto" or (mode == "ScaleOutOnly" and scale.replicas < target)
    return target if may else None


def _detach_orders(world: World, detaching: tuple[BufferNode, ...]) -> tuple[Manifest, ...]:
    return tuple(
        buffernode.render_detached(world.owner, node) for node in detaching if node.spec.desired_state != "Detached"
    )


def _relabels(world: World, ours: set[str]) -> tuple[Relabel, ...]:
    label = world.owner.label
    asked = asked_at(world)
    bind = (
        Relabel(n.name, label, asked) for n in world.nodes if n.name in ours and n.labels.get(CLUSTER_LABEL) != label
    )
    free = (Relabel(n.name, None) for n in world.nodes if n.name not in ours and n.labels.get(CLUSTER_LABEL) == label)
    return (*bind, *free)


def _farewell(world: World) -> Plan:
    """Agents and balancers hand everything back first; then labels, BufferNodes, the finalizer; ownership takes the
    rest."""
    if FINALIZER not in world.cluster.metadata.finalizers:
        return Plan()
    waits = world.cluster.spec.deletion_policy == "Detach" and not _patience_over(world)
    detaching = leaving(world, set()).detaching if waits else ()
    leave = parting(world) if waits else Parting()
    if detaching or leave.waits:
        return Plan(apply=(*leave.orders, *_detach_orders(world, detaching)), blocked="Detaching")
    return Plan(
        finalizer="release",
        roles=spares.returned(world) if world.cluster.spec.deletion_policy == "Detach" else (),
        relabel=_relabels(world, set()),
        delete=(*(buffernode.key_of(n.metadata.name) for n in world.own_nodes), *_shared_leftovers(world)),
    )


def _shared_leftovers(world: World) -> tuple[Key, ...]:
    """The namespace's account and bindings, when this was its last cluster."""
    owner = world.owner
    here = [c for c in world.clusters if c.metadata.namespace == owner.namespace and c.metadata.name != owner.name]
    return (
        () if here else tuple(key(m) for m in access.render(owner, secured=True, zoned=True) if key(m) in world.owned)
    )


def _patience_over(world: World) -> bool:
    asked = world.cluster.metadata.deletion_timestamp
    return asked is not None and (world.now - asked).total_seconds() > DETACH_PATIENCE_S
