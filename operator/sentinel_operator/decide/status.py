"""World and what was done about it to the status that people read: pure, in words a person can act on."""

from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_network

from sentinel_api.names import CLUSTER_LABEL
from sentinel_api.v1alpha1.buffernode import BufferNode
from sentinel_api.v1alpha1.clusterstatus import BufferClusterStatus, LoadBalancerStatus, ScalingStatus, Tiers
from sentinel_api.v1alpha1.conditions import Condition, Status, merge
from sentinel_api.v1alpha1.model import MAX_INT
from sentinel_operator.decide import autoscale, claims, leadtime
from sentinel_operator.decide.autoscale import Thought
from sentinel_operator.decide.freshness import answers
from sentinel_operator.decide.plan import Plan
from sentinel_operator.decide.world import World

Verdict = tuple[Status, str, str]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How carrying out the plan went: the sentence of the first error, empty when all went well."""

    error: str = ""


@dataclass(frozen=True, slots=True)
class Addresses:
    """How many Services have theirs, and why the first of the others has none."""

    served: int = 0
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Count:
    """The nodes of a cluster, told apart."""

    nodes: int
    reporting: int
    working: int
    updated: int
    tiers: Tiers


def status(
    world: World, plan: Plan, outcome: Outcome, thought: Thought | None = None, addresses: Addresses | None = None
) -> BufferClusterStatus:
    """`thought` is there when a scaling decision was due at this look, `addresses` where there are some to give."""
    old = world.cluster.status or BufferClusterStatus()
    count = _count(world, plan)
    config = plan.config
    return old.model_copy(
        update={
            "observed_generation": world.cluster.metadata.generation or 0,
            "nodes": count.nodes,
            "ready_nodes": count.working,
            "coverage_percent": 100 * count.reporting // count.nodes if count.nodes else 0,
            "tiers": count.tiers,
            "selector": f"app.kubernetes.io/component=agent,{CLUSTER_LABEL}={world.owner.label}",
            "class_ids": dict(config.ids) if config else old.class_ids,
            "config_digest": config.digest if config else old.config_digest,
            "rollout": plan.rollout or old.rollout,
            "load_balancer": _load_balancer(world, addresses),
            "scaling": _scaling(world, plan, old, thought),
            "conditions": merge(
                old.conditions,
                (
                    *_conditions(world, plan, outcome, count),
                    *_scaling_conditions(world, plan, thought),
                    *_balancer_conditions(world, addresses),
                ),
            ),
        }
    )


def _load_balancer(world: World, addresses: Addresses | None) -> LoadBalancerStatus:
    pool = (ip_network(cidr, strict=False).num_addresses for cidr in world.cluster.spec.load_balancer.address_pool)
    return LoadBalancerStatus(
        ready_replicas=world.balancers.ready,
        addresses_used=addresses.served if addresses else 0,
        addresses_total=min(sum(pool), MAX_INT),
    )


def _balancer_conditions(world: World, addresses: Addresses | None) -> tuple[Condition, ...]:
    """None where nobody ever asked for balancers."""
    known = world.cluster.status.conditions if world.cluster.status else ()
    build = _Builder(world.now, world.cluster.metadata.generation or 0)
    if addresses is None:
        told = any(c.type == "LoadBalancerReady" for c in known) and not world.cluster.spec.paused
        return (build("LoadBalancerReady", "False", "Off", "No addresses to give away."),) if told else ()
    return (build("LoadBalancerReady", *_balancing(world, addresses)),)


def _balancing(world: World, addresses: Addresses) -> Verdict:
    if addresses.refusal:
        return "False", "ServiceRefused", addresses.refusal
    if not world.balancers.ready:
        return "False", "NoBalancer", "No balancer is ready: edge nodes carry the label sentinel.io/role=edge."
    return "True", "Forwarding", f"{world.balancers.ready} balancers forward to {addresses.served} Services."


def _count(world: World, plan: Plan) -> Count:
    nodes = world.own_nodes
    reporting = [n for n in nodes if n.status is not None and answers(n, world.now)]
    tiers = [n.status.data_plane.tier for n in reporting if n.status and n.status.data_plane]
    wanted = plan.config.digest if plan.config else (world.cluster.status or BufferClusterStatus()).config_digest
    return Count(
        nodes=len(nodes),
        reporting=len(reporting),
        working=sum(_works(n) for n in reporting),
        updated=sum(n.status is not None and n.status.config_digest == wanted for n in reporting),
        tiers=Tiers(a=tiers.count("A"), b=tiers.count("B"), c=tiers.count("C")),
    )


def _works(node: BufferNode) -> bool:
    conditions = node.status.conditions if node.status else ()
    return any(c.type == "Ready" and c.status == "True" for c in conditions)


def _conditions(world: World, plan: Plan, outcome: Outcome, count: Count) -> tuple[Condition, ...]:
    build = _Builder(world.now, world.cluster.metadata.generation or 0)
    return (
        build("Ready", *_ready(world, plan, outcome, count)),
        build("Progressing", *_progressing(world, plan, count)),
        build("Degraded", *_degraded(world, plan, outcome, count)),
        build("DataPlaneReady", *_data_plane(count)),
    )


def _scaling(world: World, plan: Plan, old: BufferClusterStatus, thought: Thought | None) -> ScalingStatus:
    if thought is None and world.cluster.spec.scaling.mode == "Off":
        return autoscale.idle(world)
    known = thought.status if thought else old.scaling
    measured = leadtime.remembered(known.measured_lead_seconds, plan.arrived)
    return known.model_copy(update={"measured_lead_seconds": measured})


def _scaling_conditions(world: World, plan: Plan, thought: Thought | None) -> tuple[Condition, ...]:
    """Between two decisions the conditions of the last one stand."""
    build = _Builder(world.now, world.cluster.metadata.generation or 0)
    if thought is not None:
        return (
            build("ScalingActive", *autoscale.active(world, thought)),
            build("ScalingLimited", *autoscale.limited(thought, plan.missing)),
            build("ForecastReady", *autoscale.forecast_ready(world, thought.demand)),
            build("ModelReady", *autoscale.model_ready(world)),
        )
    if world.cluster.spec.scaling.mode != "Off":
        return ()
    return (
        build("ScalingActive", *autoscale.active(world, None)),
        build("ScalingLimited", "False", "Off", ""),
        build("ModelReady", *autoscale.model_ready(world)),
    )


@dataclass(frozen=True, slots=True)
class _Builder:
    now: datetime
    generation: int

    def __call__(self, kind: str, status: Status, reason: str, message: str) -> Condition:
        return Condition(
            type=kind, status=status, reason=reason, message=message[:1024],
            observed_generation=self.generation, last_transition_time=self.now,
        )  # fmt: skip


def _ready(world: World, plan: Plan, outcome: Outcome, count: Count) -> Verdict:
    if outcome.error:
        return "False", "ApplyFailed", outcome.error
    if plan.blocked:
        return "False", plan.blocked, _BLOCKED.get(plan.blocked, "")
    if not count.nodes:
        lost = claims.lost(world)
        if lost:
            return "False", "NodesTaken", _taken(lost)
        return "False", "NoNodes", "No node carries sentinel.io/role=buffer: label the nodes that shall buffer."
    if count.working < count.nodes:
        hint = _stuck(world) or "see kubectl get bufn"
        return "False", "AgentsNotReady", f"{count.working} of {count.nodes} agents work; {hint}."
    return "True", "AllAgentsReady", f"All {count.nodes} agents work."


def _stuck(world: World) -> str:
    """A pod that cannot start, by name: its node has nothing to say yet."""
    stuck = next((pod for pod in world.pods or () if pod.trouble and not pod.leaving), None)
    return f"{stuck.name} on {stuck.node} waits with {stuck.trouble}" if stuck else ""


_BLOCKED = {
    "Paused": "spec.paused is set: the operator leaves everything as it is.",
    "Detaching": "Waiting for agents and balancers to hand programs, queues and addresses back.",
}


def _progressing(world: World, plan: Plan, count: Count) -> Verdict:
    if plan.rollout and plan.rollout.phase not in ("Done", "Held"):
        stuck = _stuck(world)
        return "True", plan.rollout.phase, f"{plan.rollout.message} {stuck}." if stuck else plan.rollout.message
    if plan.empty and count.updated == count.nodes:
        return "False", "Settled", "Everything is as the spec asks."
    return "True", "Applying", f"{count.updated} of {count.nodes} nodes run the wanted configuration."


def _degraded(world: World, plan: Plan, outcome: Outcome, count: Count) -> Verdict:
    lost = claims.lost(world)
    if lost:
        return "True", "NodesTaken", _taken(lost)
    if outcome.error:
        return "True", "ApplyFailed", outcome.error
    if plan.rollout and plan.rollout.phase in ("RollingBack", "Held"):
        remedy = "change the spec to try again." if plan.rollout.phase == "Held" else "going back to what was."
        return "True", "RolloutFailed", f"{plan.rollout.message} {remedy.capitalize()}"
    if count.tiers.c and world.cluster.spec.data_plane.mode == "Enforce":
        return "True", "ObserveOnly", f"{count.tiers.c} nodes cannot enforce; kubectl get bufn says why."
    return "False", "AsExpected", ""


def _data_plane(count: Count) -> Verdict:
    enforcing = count.tiers.a + count.tiers.b
    if not enforcing + count.tiers.c:
        return "Unknown", "NoReports", "No agent has reported yet."
    return "True", "Loaded", f"{enforcing} nodes enforce, {count.tiers.c} observe."


def _taken(lost: dict[str, str]) -> str:
    node, other = next(iter(lost.items()))
    more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
    return f"{node}{more} belongs to BufferCluster {other}: ask for other nodes with spec.agent.nodeSelector."
