"""A BufferCluster in words: what it does, why, and what a person could do about what is wrong."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from sentinel_api.v1alpha1.buffercluster import BufferCluster
from sentinel_api.v1alpha1.buffernode import BufferNode, Scores
from sentinel_api.v1alpha1.clusterstatus import BufferClusterStatus, ScalingDecision
from sentinel_api.v1alpha1.conditions import Condition

GOOD = {"Degraded": "False", "ScalingLimited": "False", "Progressing": "False"}
HORIZON_SHOWN_S = 120
UNITS = ("B/s", "kB/s", "MB/s", "GB/s", "TB/s")


def told(cluster: BufferCluster, nodes: Sequence[BufferNode], now: datetime) -> tuple[str, ...]:
    """One line a fact, the most important first."""
    status = cluster.status
    title = f"{cluster.metadata.namespace}/{cluster.metadata.name}"
    if status is None:
        return (f"{title}: no operator has answered yet; see kubectl get pods -n sentinel-system",)
    ready = next((c for c in status.conditions if c.type == "Ready"), None)
    lines = [f"{title}: {_state(ready)}", *(f"  ! {line}" for line in troubles(status.conditions))]
    if cluster.spec.paused:
        lines.append("  paused: the operator leaves everything as it is (sentinel pause --resume)")
    lines += [f"  {line}" for line in (*_counts(cluster, status), *_scaling(cluster, status, nodes, now))]
    lines += [f"  {line}" for line in _table(nodes, now)]
    return tuple(lines)


def troubles(conditions: Iterable[Condition]) -> tuple[str, ...]:
    """What is not as it should be, but for Ready, which is the title."""
    return tuple(
        f"{c.type}: {c.message or c.reason}"
        for c in conditions
        if c.type not in ("Ready", "Progressing", "ScalingActive") and _wrong(c)
    )


def _wrong(condition: Condition) -> bool:
    good = GOOD.get(condition.type, "True")
    return condition.status not in (good, "Unknown") and condition.reason != "Off"


def _state(ready: Condition | None) -> str:
    if ready is None:
        return "not looked at yet"
    return "ready" if ready.status == "True" else f"not ready ({ready.reason}): {ready.message}"


def _counts(cluster: BufferCluster, status: BufferClusterStatus) -> Iterable[str]:
    tiers = status.tiers
    yield (
        f"{status.nodes} nodes ({cluster.spec.nodes} wanted), {status.ready_nodes} work, "
        f"{status.coverage_percent} percent report; {tiers.a + tiers.b} enforce, {tiers.c} only observe"
    )
    if status.rollout.phase != "Done":
        yield f"roll-out {status.rollout.phase}: {status.rollout.updated_nodes} changed. {status.rollout.message}"
    if cluster.spec.load_balancer.address_pool:
        balancers = status.load_balancer
        yield (
            f"{balancers.ready_replicas} of {cluster.spec.load_balancer.replicas} balancers ready, "
            f"{balancers.addresses_used} of {balancers.addresses_total} addresses given"
        )


def _scaling(
    cluster: BufferCluster, status: BufferClusterStatus, nodes: Sequence[BufferNode], now: datetime
) -> Iterable[str]:
    scaling, mode = status.scaling, cluster.spec.scaling.mode
    if mode == "Off" or scaling.observed_at is None:
        yield f"scaling {mode}"
        return
    yield (
        f"scaling {mode}: {scaling.required_nodes} nodes needed in {scaling.lead_time_seconds} s "
        f"for {amount(scaling.demand_p95_bytes_per_second)}; {scaling.reactive_nodes} by present demand alone, "
        f"which is {amount(sum(_carried(node) for node in nodes))}"
    )
    for decision in scaling.decisions[:3]:
        yield f"  {ago(now, decision.decided_at)}: {_decision(decision)}"


def _carried(node: BufferNode) -> int:
    said = node.status.forecast if node.status else None
    return said.demand_bytes_per_second if said else 0


def _decision(decision: ScalingDecision) -> str:
    verb = "went" if decision.applied else "would have gone"
    return f"{verb} from {decision.from_nodes} to {decision.to_nodes} nodes ({decision.reason}). {decision.message}"


def _table(nodes: Sequence[BufferNode], now: datetime) -> Iterable[str]:
    """Forecast beside what is carried now, and how often its alarms were right; all as the node itself says."""
    if not nodes:
        return
    rows: list[tuple[str, ...]] = [("NODE", "STATE", "TIER", "CARRIES", f"IN {HORIZON_SHOWN_S} S", "TRUSTED", "SAID")]
    rows += [_row(node, now) for node in sorted(nodes, key=lambda node: node.metadata.name)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _row(node: BufferNode, now: datetime) -> tuple[str, ...]:
    status = node.status
    if status is None:
        return (node.metadata.name, "silent", "-", "-", "-", "-", "never")
    said = status.forecast
    point = next((p for p in said.points if p.horizon_seconds == HORIZON_SHOWN_S), None) if said else None
    tier = f"{status.data_plane.tier} ({status.data_plane.reason})" if status.data_plane else "-"
    return (
        node.metadata.name,
        status.state,
        tier,
        amount(said.demand_bytes_per_second) if said else "-",
        f"{amount(point.p50)} to {amount(point.p95)}" if point else "-",
        _trust(status.scores),
        ago(now, said.observed_at) if said else "-",
    )


def _trust(scores: Scores) -> str:
    alarms = scores.hits + scores.false_alarms
    said = "yes" if scores.trusted else "not yet"
    return f"{said}, {scores.hits} of {alarms} right" if alarms else said


def amount(bytes_per_second: float) -> str:
    """Decimal, as networks are sold."""
    step = 0
    while bytes_per_second >= 1000 and step < len(UNITS) - 1:
        bytes_per_second, step = bytes_per_second / 1000, step + 1
    return f"{bytes_per_second:.0f} {UNITS[step]}" if step == 0 else f"{bytes_per_second:.1f} {UNITS[step]}"


def ago(now: datetime, then: datetime) -> str:
    seconds = max(0, round((now - then).total_seconds()))
    if seconds < 120:
        return f"{seconds} s ago"
    return f"{seconds // 60} min ago" if seconds < 7_200 else f"{seconds // 3_600} h ago"
