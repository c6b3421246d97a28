"""Why the state of a BufferCluster or of one node is what it is, and what would change it, in plain sentences.

Nothing is guessed: the reasons are those that decisions and conditions carry, the rest is arithmetic on the spec.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor
from typing import TYPE_CHECKING

from sentinel_cli.cluster.words import HORIZON_SHOWN_S, ago, amount
from sentinel_operator.decide.freshness import answers, silence_s

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from datetime import datetime

    from sentinel_api.v1alpha1.buffercluster import BufferCluster
    from sentinel_api.v1alpha1.buffernode import BufferNode, BufferNodeStatus
    from sentinel_api.v1alpha1.clusterstatus import BufferClusterStatus, ScalingDecision
    from sentinel_api.v1alpha1.conditions import Condition, NodeCondition

SPOKEN_OF_ELSEWHERE = (
    "ScalingActive",
    "Progressing",
)  # the number of nodes and the roll-out have findings of their own
GOOD = {"Degraded": "False", "ScalingLimited": "False"}


@dataclass(frozen=True, slots=True)
class Finding:
    """What is so, why, and what would change it; the last two may be nothing to tell."""

    fact: str
    because: str = ""
    change: str = ""

    def lines(self) -> Iterator[str]:
        yield f"- {self.fact}"
        if self.because:
            yield f"    because {self.because}"
        if self.change:
            yield f"    it changes when {self.change}"


def told(findings: Iterable[Finding]) -> str:
    return "\n".join(line for each in findings for line in each.lines())


def of_cluster(cluster: BufferCluster, now: datetime) -> tuple[Finding, ...]:
    status = cluster.status
    if status is None:
        return (
            Finding(
                "Nothing was done with it yet.",
                "no operator has answered.",
                "one runs: kubectl get pods -A -l app.kubernetes.io/name=sentinel-operator.",
            ),
        )
    findings = [*_conditions(status.conditions), _number_of_nodes(cluster, status, now), _rollout(status)]
    if cluster.spec.paused:
        findings.insert(
            0, Finding("The operator leaves it as it is.", "spec.paused is set.", RESUME.format(_at(cluster)))
        )
    return tuple(findings)


RESUME = "you say so: kubectl sentinel pause {} --resume."


def _at(cluster: BufferCluster) -> str:
    return f"{cluster.metadata.name} -n {cluster.metadata.namespace}"


def _conditions(known: Iterable[Condition | NodeCondition]) -> Iterator[Finding]:
    """Ready first; of the others those that are not as they should be."""
    ordered = sorted(known, key=lambda c: c.type != "Ready")
    for condition in ordered:
        good = condition.status == GOOD.get(condition.type, "True")
        if condition.type in SPOKEN_OF_ELSEWHERE or condition.reason == "Off" or (good and condition.type != "Ready"):
            continue
        message = condition.message.rstrip(".") or condition.reason
        state = "not known" if condition.status == "Unknown" else condition.status.lower()
        fact = "It is ready." if good else f"{condition.type} is {state} ({condition.reason})."
        yield Finding(fact, f"{message}.", REMEDIES.get(condition.reason, ""))


# What a condition's own message does not say. Operator and agents write these reasons.
REMEDIES: Mapping[str, str] = {
    "AgentsNotReady": "those agents run: `kubectl sentinel explain node/NAME` says why one does not.",
    "BelowGate": "its alarms have been right often enough again; scoring never stops.",
    "Detaching": "every agent has answered, or its patience is over.",
    "LowCoverage": "more agents report, or spec.scaling.coverage.minPercent is lowered.",
    "Learning": "enough alarms were scored; the reactive rule acts until then.",
    "MinNodes": "spec.scaling.min is lowered.",
    "ModelRefused": "spec.prediction names a model whose digest and inputs fit this agent.",
    "NoBalancer": "a node with that label has a balancer that runs.",
    "NoReports": "an agent reports: kubectl get bufn shows who is silent.",
    "NotTrusted": "the agents' live scores have passed their gate.",
    "ObserveOnly": "those nodes can enforce: `sentinel doctor` on one of them says what it lacks.",
    "StepLimit": "the next decision comes, or maxStepNodes is raised.",
}


def _number_of_nodes(cluster: BufferCluster, status: BufferClusterStatus, now: datetime) -> Finding:
    rules, scaling = cluster.spec.scaling, status.scaling
    if rules.mode == "Off" or scaling.observed_at is None:
        return Finding(
            f"There are {status.nodes} nodes, and that number is yours.",
            "spec.scaling.mode is Off." if rules.mode == "Off" else "nothing was computed yet.",
            "you label other nodes, or set spec.scaling.mode to Recommend.",
        )
    nodes = status.nodes if scaling.target_nodes is None else scaling.target_nodes
    active = next((c.message for c in status.conditions if c.type == "ScalingActive" and c.message), "")
    because = (
        f"forecast demand in {scaling.lead_time_seconds} s is {amount(scaling.demand_p95_bytes_per_second)} (95th "
        f"percentile), which calls for {scaling.required_nodes} nodes of "
        f"{amount(rules.node_capacity_bytes_per_second)} each; present demand alone would call "
        f"for {scaling.reactive_nodes}. {active}"
    )
    newest = f" Last change: {_decision(scaling.decisions[0], now)}" if scaling.decisions else ""
    verb = "are asked for" if scaling.target_nodes is not None else "are there; nobody asks for another number"
    return Finding(f"{nodes} nodes {verb}.{newest}", because.strip(), _thresholds(cluster, nodes))


def _decision(decision: ScalingDecision, now: datetime) -> str:
    verb = "from" if decision.applied else "recommended, not done, from"
    return (
        f"{ago(now, decision.decided_at)}, {verb} {decision.from_nodes} to {decision.to_nodes} ({decision.reason}; "
        f"{decision.inputs.reporting_nodes} nodes reported {amount(decision.inputs.demand_p95_bytes_per_second)})."
    )


def _thresholds(cluster: BufferCluster, nodes: int) -> str:
    """At which demand another number is called for."""
    rules = cluster.spec.scaling
    capacity, slack = rules.node_capacity_bytes_per_second, 1 + rules.tolerance_percent / 100
    more = floor(nodes * slack) * capacity if nodes else 0
    grows = (
        f"forecast demand, with headroom or half of its doubt on top, exceeds {amount(more)} (more nodes)"
        if nodes < rules.max
        else f"spec.scaling.max is raised above {rules.max} (more nodes)"
    )
    if rules.mode == "ScaleOutOnly":
        return f"{grows}; mode ScaleOutOnly gives no node back."
    if nodes <= rules.min:
        return f"{grows}; there are never fewer than spec.scaling.min, {rules.min}."
    fewer = (nodes - 2) * capacity
    return (
        f"{grows}, or stays below {amount(fewer)} for {rules.scale_down.stabilisation_seconds} s (fewer)."
        if fewer > 0
        else f"{grows}."
    )


def _rollout(status: BufferClusterStatus) -> Finding:
    rollout = status.rollout
    if rollout.phase == "Done":
        return Finding("Every node runs the wanted configuration.")
    return Finding(
        f"A roll-out is under way ({rollout.phase}): {rollout.updated_nodes} of {status.nodes} nodes changed.",
        rollout.message or "the configuration or the agents' image changed.",
        "the changed nodes have stood the test; a worse one turns it back by itself.",
    )


def of_node(node: BufferNode, now: datetime) -> tuple[Finding, ...]:
    status = node.status
    if status is None:
        return (
            Finding(
                "Its agent never said anything.",
                "it does not run, or may not write the status.",
                f"its pod runs: kubectl get pods -A --field-selector spec.nodeName={node.metadata.name}.",
            ),
        )
    return (
        *_silence(node, now),
        *_orders(node, status),
        *_conditions(status.conditions),
        *_tier(status),
        *_room(status),
        *_forecast(status, now),
    )


def _silence(node: BufferNode, now: datetime) -> Iterator[Finding]:
    status = node.status
    if status is None or status.forecast is None or answers(node, now):
        return
    yield Finding(
        f"Its agent was last heard {ago(now, status.forecast.observed_at)}.",
        f"nothing came for more than {silence_s(node)} s; what follows is as old as that.",
        "the agent runs and reaches the API server; packets pass meanwhile, with static limits.",
    )


def _orders(node: BufferNode, status: BufferNodeStatus) -> Iterator[Finding]:
    if node.spec.desired_state != "Active":
        yield Finding(
            f"It is {status.state}; {node.spec.desired_state} is asked for.",
            "somebody asked for it, or the autoscaler gives the node back.",
            f"kubectl sentinel drain {node.metadata.name} --undo, where a person asked.",
        )
    if status.config_digest != node.spec.config_digest:
        yield Finding(
            "It does not run the newest configuration.",
            "the roll-out has not come to it, or it refused it (then ConfigAccepted below says why).",
        )


def _tier(status: BufferNodeStatus) -> Iterator[Finding]:
    plane = status.data_plane
    if plane is None:
        return
    fact, because, change = TIERS[plane.tier]
    yield Finding(fact, f"{because} ({plane.reason}).", change)


TIERS = {
    "A": ("Queues are resized inside the kernel (tier A).", "the kernel has BPF queueing disciplines", ""),
    "B": (
        "Queues are resized through HTB (tier B).",
        "the kernel has no BPF queueing disciplines, or tier B was asked for",
        "the node has Linux 6.16 or newer and tier A is allowed.",
    ),
    "C": (
        "It only observes (tier C): traffic passes as it would without Sentinel.",
        "observing was asked for, or something that enforcing needs is missing",
        "spec.dataPlane.mode is Enforce and `sentinel doctor` on the node finds nothing missing.",
    ),
}


def _room(status: BufferNodeStatus) -> Iterator[Finding]:
    room = status.buffer
    if room is None or not room.pool_bytes:
        return
    share = 100 * room.granted_bytes // room.pool_bytes
    yield Finding(
        f"Of {room.pool_bytes // 1024} KiB of pool {share} percent are granted; {room.held_bytes // 1024} KiB wait "
        f"now, and {room.dropped_packets} packets were dropped since the programs were loaded.",
        "floors, present need and the expected burst of each class add up to that.",
    )


def _forecast(status: BufferNodeStatus, now: datetime) -> Iterator[Finding]:
    said, scores = status.forecast, status.scores
    if said is None:
        yield Finding("It has no forecast.", "the agent has not seen enough traffic yet, or predicting is off.")
        return
    point = next((p for p in said.points if p.horizon_seconds == HORIZON_SHOWN_S), None)
    later = f"; in {HORIZON_SHOWN_S} s {amount(point.p50)} to {amount(point.p95)} are expected" if point else ""
    yield Finding(f"It carries {amount(said.demand_bytes_per_second)}{later} ({ago(now, said.observed_at)}).")
    alarms = scores.hits + scores.false_alarms
    yield Finding(
        "It acts on its forecasts." if scores.trusted else "It does not act on its forecasts: the reactive rule does.",
        f"of {alarms} alarms lately {scores.hits} were right, and {scores.misses} bursts came unforetold.",
    )
