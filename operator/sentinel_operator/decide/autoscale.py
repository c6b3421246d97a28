"""A verdict on the number of nodes as what is written down before anybody acts on it, and as conditions."""

from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import Literal

from sentinel_api.v1alpha1.clusterstatus import DecisionInputs, ScalingDecision, ScalingStatus
from sentinel_api.v1alpha1.conditions import Status
from sentinel_operator.decide import claims
from sentinel_operator.decide.demand import Demand
from sentinel_operator.decide.scale import State, Verdict, decide
from sentinel_operator.decide.world import World

ACTING = ("ScaleOutOnly", "Auto")
KEPT_DECISIONS = 10
EARLY = 0.2  # of the interval: by so much a decision may come sooner, so that a slow look does not make it late

Said = tuple[Status, str, str]


@dataclass(frozen=True, slots=True)
class Thought:
    """What one decision came to. `commits`: it moves nodes, so it must be in the status before it is acted on."""

    demand: Demand
    verdict: Verdict
    status: ScalingStatus
    commits: bool
    driver_refusal: str


def due_in_s(world: World) -> float | None:
    """Seconds until the next decision, 0 when it is due; None where nobody asks for one."""
    spec = world.cluster.spec
    if spec.scaling.mode == "Off" or spec.paused or world.cluster.metadata.deletion_timestamp is not None:
        return None
    before, soonest_s = _before(world).observed_at, (1 - EARLY) * spec.scaling.interval_seconds
    waited = (world.now - before).total_seconds() if before else soonest_s
    return max(0.0, soonest_s - waited)


def next_in_s(world: World, now: datetime, look_s: float) -> float:
    """Until the look that decides next after this one, so that its decision is written down within one interval of
    what this one knew, if it takes as long: whoever reports a moment too late for one decision is in the next."""
    interval_s = world.cluster.spec.scaling.interval_seconds
    since_s = (now - world.now).total_seconds()
    return max(interval_s - look_s, (1 - EARLY) * interval_s) - since_s


def consider(world: World, demand: Demand) -> Thought:
    spec, before = world.cluster.spec, _before(world)
    rules, refusal = spec.scaling, driver_refusal(world)
    acting = rules.mode in ACTING and not refusal
    nodes = present(world) if before.target_nodes is None or not acting else before.target_nodes
    floor = spec.nodes if rules.mode == "ScaleOutOnly" else 0
    verdict = decide(rules, State(nodes, before.recent, before.observed_at), demand, world.now, floor)
    commits = acting and verdict.target != before.target_nodes
    moved = acting and verdict.target != nodes
    status = before.model_copy(
        update={
            "target_nodes": verdict.target if acting else None,
            "required_nodes": verdict.required,
            "reactive_nodes": verdict.reactive,
            "demand_p95_bytes_per_second": ceil(demand.seen.p95),
            "lead_time_seconds": demand.horizon_s,
            "observed_at": world.now,
            "last_scale_at": world.now if moved else before.last_scale_at,
            "correlation_percent": round(100 * demand.correlation),
            "recent": verdict.recent,
            "decisions": _logged(before, _decision(verdict, demand, nodes, world.now, applied=acting)),
        }
    )
    return Thought(demand, verdict, status, commits, refusal)


def present(world: World) -> int:
    """Nodes there are, as the driver counts them."""
    scale = world.scale
    return scale.replicas if scale is not None and not scale.refusal else len(claims.claimed(world))


def driver_refusal(world: World) -> str:
    if world.cluster.spec.scaling.driver.type == "CapacityBuffer" and not world.buffers_capacity:
        return "This cluster knows no CapacityBuffer (autoscaling.x-k8s.io): use a cluster autoscaler that does."
    return world.scale.refusal if world.scale is not None else ""


def idle(world: World) -> ScalingStatus:
    """Mode Off computes nothing, and shows nothing but what was decided before."""
    return ScalingStatus(decisions=_before(world).decisions)


def _before(world: World) -> ScalingStatus:
    return world.cluster.status.scaling if world.cluster.status else ScalingStatus()


def _decision(verdict: Verdict, demand: Demand, nodes: int, now: datetime, *, applied: bool) -> ScalingDecision:
    return ScalingDecision(
        decided_at=now,
        from_nodes=nodes,
        to_nodes=verdict.target,
        required_nodes=verdict.required,
        reactive_nodes=verdict.reactive,
        applied=applied,
        reason=verdict.reason,
        message=WHY[verdict.reason].format(horizon=demand.horizon_s),
        inputs=DecisionInputs(
            demand_p95_bytes_per_second=ceil(demand.seen.p95),
            horizon_seconds=demand.horizon_s,
            growth_percent=round(100 * demand.rise),
            forecasts_count=demand.pays,
            reporting_nodes=demand.reporting,
            coverage_percent=demand.coverage_percent,
            source=_source(demand),
        ),
    )


def _source(demand: Demand) -> Literal["Mesh", "Status", "None"]:
    """Where most of them came from."""
    if not demand.reporting:
        return "None"
    return "Mesh" if 2 * demand.by_mesh > demand.reporting else "Status"


def _logged(before: ScalingStatus, decision: ScalingDecision) -> tuple[ScalingDecision, ...]:
    """Newest first. Only changes; a recommendation that nobody follows is written down once, not every interval."""
    if decision.from_nodes == decision.to_nodes:
        return before.decisions
    last = before.decisions[0] if before.decisions else None
    same = last and (last.from_nodes, last.to_nodes, last.applied) == (decision.from_nodes, decision.to_nodes, False)
    return before.decisions if same and not decision.applied else (decision, *before.decisions)[:KEPT_DECISIONS]


WHY = {
    "AsRequired": "As many nodes as are called for.",
    "Forecast": "More traffic is expected in {horizon} s than the nodes carry.",
    "PresentDemand": "Present traffic calls for more nodes than the forecast does.",
    "WithinTolerance": "The forecast exceeds the nodes by less than scaling.tolerancePercent.",
    "LessDemand": "Fewer nodes have sufficed for scaling.scaleDown.stabilisationSeconds.",
    "Stabilising": "Fewer nodes would do; that must hold for scaling.scaleDown.stabilisationSeconds.",
    "ScaleOutOnly": "Fewer nodes would do; mode ScaleOutOnly gives none back.",
    "LowCoverage": "Too few nodes report (scaling.coverage.minPercent): the cluster only grows; see kubectl get bufn.",
    "NoReports": "No node has reported lately: the number of nodes is held; see kubectl get bufn.",
    "ForecastsNotTrusted": "Forecasts are missing or not trusted and scaling.fallback is Hold.",
    "MinNodes": "Never fewer than scaling.min, or spec.nodes in mode ScaleOutOnly.",
    "MaxNodes": "Never more than scaling.max.",
}
_LIMITS = {
    "MaxNodes": "More nodes are called for than scaling.max allows: raise it.",
    "MinNodes": "Fewer nodes would do than scaling.min asks for.",
    "StepLimit": "One decision moves at most maxStepNodes of scaling.scaleUp or scaleDown; the rest follows.",
}


def active(world: World, thought: Thought | None) -> Said:
    mode = world.cluster.spec.scaling.mode
    if thought is None:
        return "False", "Off", "scaling.mode is Off: nothing is computed."
    if thought.driver_refusal:
        return "False", "DriverUnavailable", thought.driver_refusal
    why = WHY[thought.verdict.reason].format(horizon=thought.demand.horizon_s)
    if mode not in ACTING:
        return (
            "False",
            "RecommendOnly",
            f"scaling.mode is {mode}: {thought.verdict.target} nodes are recommended. {why}",
        )
    if thought.verdict.reason in ("NoReports", "ForecastsNotTrusted"):
        return "False", thought.verdict.reason, why
    return "True", thought.verdict.reason, why


def limited(thought: Thought, missing: int) -> Said:
    """`missing`: nodes asked for that no spare is left for."""
    if thought.driver_refusal:
        return "True", "DriverUnavailable", thought.driver_refusal
    if missing:
        return "True", "NoSpareNodes", (
            f"{missing} more nodes are asked for, but no spare is free: nodes are spare that match "
            "scaling.driver.spareNodeSelector, are ready and carry no sentinel.io/role."
        )  # fmt: skip
    reason = thought.verdict.limited
    if reason:
        return "True", reason, _LIMITS.get(reason) or WHY[reason]
    return "False", "AsRequired", ""


def forecast_ready(world: World, demand: Demand) -> Said:
    if not demand.nodes:
        return "Unknown", "NoNodes", "There is no buffer node yet."
    floor = world.cluster.spec.scaling.coverage.min_percent
    if demand.coverage_percent < floor:
        return "False", "LowCoverage", f"{demand.reporting} of {demand.nodes} nodes report; {floor} percent are needed."
    if not demand.believable(floor):
        return "False", "NotTrusted", f"{demand.foreseeing} of {demand.reporting} nodes send forecasts to rely on."
    if not demand.pays:
        return "True", "Forecasting", (
            f"{demand.foreseeing} of {demand.nodes} nodes send forecasts; of late they came no closer than present "
            "demand, so that counts."
        )  # fmt: skip
    return "True", "Forecasting", f"{demand.foreseeing} of {demand.nodes} nodes send forecasts to rely on."


def model_ready(world: World) -> Said:
    """As the nodes' own live scores have it."""
    scores = [node.status.scores for node in world.own_nodes if node.status and node.status.forecast]
    if not scores:
        return "Unknown", "NoReports", "No agent has reported yet."
    trusting = sum(score.trusted for score in scores)
    said = f"{trusting} of {len(scores)} nodes act on the model's forecasts"
    if trusting == len(scores):
        return "True", "Trusted", f"{said}."
    fallback = world.cluster.spec.model.fallback
    return (
        "False",
        "NotTrustedEverywhere",
        f"{said}; the others use model.fallback {fallback} until it has proved right.",
    )
