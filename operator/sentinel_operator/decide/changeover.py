"""World to the next step of its roll-out: who gets which configuration, which pods go, which template holds."""

from collections.abc import Mapping
from dataclasses import dataclass

from sentinel_api.v1alpha1.buffernode import BufferNode, BufferNodeStatus
from sentinel_api.v1alpha1.clusterstatus import BufferClusterStatus, Rollout
from sentinel_api.v1alpha1.nodeconfig import NodeConfig
from sentinel_operator.decide import rollout
from sentinel_operator.decide.freshness import answers
from sentinel_operator.decide.rollout import Member
from sentinel_operator.decide.world import AgentPod, Node, World
from sentinel_operator.objects import Key, Manifest
from sentinel_operator.render import daemonset

WATCHING = ("Canary", "Soaking", "RollingBack", "Held")  # a node that comes now gets what was good


@dataclass(frozen=True, slots=True)
class Changeover:
    """`configs`: node → digest of its configuration. `template`: of the agents' pods that are made from now on."""

    state: Rollout
    configs: Mapping[str, str]
    template: Manifest
    good_template: Manifest | None
    restart: tuple[Key, ...]


@dataclass(frozen=True, slots=True)
class _Wanted:
    config: str
    template: Manifest

    @property
    def version(self) -> str:
        return daemonset.template_digest(self.template)


def changeover(world: World, nodes: tuple[Node, ...], config: NodeConfig) -> Changeover:
    rules = world.cluster.spec.agent.update_strategy
    before = (world.cluster.status or BufferClusterStatus()).rollout
    asked = _Wanted(config.digest, daemonset.template(world.owner, world.cluster.spec, world.release))
    good = _Wanted(before.good_config_digest or asked.config, world.good_template or asked.template)
    target = rollout.target_of(asked.config, asked.version)
    wanted = asked
    if rollout.refused(before, target):
        step = rollout.backward(rules, before, _members(world, nodes, good))
        wanted = good if step.back else asked
    else:
        step = rollout.forward(rules, before, target, _members(world, nodes, asked), world.now)
        if step.back:
            wanted = good  # from the next look on it is seen against the old one; this look only says so
    state, kept = step.state, good.template if before.good else None
    if state.phase == "Done":
        state = state.model_copy(update={"good": target, "good_config_digest": asked.config})
        kept = asked.template
    newcomers = good.config if state.phase in WATCHING and before.good else asked.config
    known = {order.metadata.name: order.spec.config_digest for order in world.own_nodes}
    return Changeover(
        state=state,
        configs={n.name: wanted.config if n.name in step.change else known.get(n.name, newcomers) for n in nodes},
        template=wanted.template,
        good_template=kept,
        restart=_outdated(world, step.change, wanted),
    )


def _members(world: World, nodes: tuple[Node, ...], wanted: _Wanted) -> tuple[Member, ...]:
    """Nodes without orders are no members: they have nothing that could change."""
    ours = {node.name for node in nodes}
    old = {pod.node for pod in world.pods or () if pod.template != wanted.version}
    own = {pod.node: pod for pod in world.pods or ()}
    return tuple(
        _member(world, order, wanted.config, own.get(order.metadata.name), outdated=order.metadata.name in old)
        for order in world.own_nodes
        if order.metadata.name in ours
    )


def _member(world: World, order: BufferNode, config: str, pod: AgentPod | None, *, outdated: bool) -> Member:
    status, gate = order.status, world.cluster.spec.model.gate
    ordered = order.spec.config_digest == config and not outdated
    alive = answers(order, world.now)
    if status is None:
        return Member(order.metadata.name, ordered, running=False, healthy=False, alive=False)
    judged = status.scores.hits + status.scores.false_alarms >= gate.min_events
    return Member(
        node=order.metadata.name,
        ordered=ordered,
        running=ordered and status.config_digest == config and _said_itself(status, pod),
        healthy=alive and any(c.type == "Ready" and c.status == "True" for c in status.conditions),
        alive=alive,
        dropped=status.buffer.dropped_packets if status.buffer else 0,
        precision=status.scores.precision_percent if judged else None,
    )


def _said_itself(status: BufferNodeStatus, pod: AgentPod | None) -> bool:
    """Whether this agent said so: what its predecessor wrote last stands there until then, and proves nothing. Both
    instants are whole seconds of the node's own clock: only of a later second is it certain that it came later."""
    if pod is None or status.forecast is None:
        return True
    return pod.since is not None and status.forecast.observed_at > pod.since


def _outdated(world: World, change: frozenset[str], wanted: _Wanted) -> tuple[Key, ...]:
    """Pods to delete, so that the DaemonSet makes them anew from the template that holds."""
    namespace = world.owner.namespace
    return tuple(
        Key("v1", "Pod", namespace, pod.name)
        for pod in sorted(world.pods or (), key=lambda pod: pod.name)
        if pod.node in change and pod.template != wanted.version and not pod.leaving
    )
