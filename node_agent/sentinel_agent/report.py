"""A tick, told: as the status of the BufferNode, as JSON for a person, as metrics. It never steers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from sentinel_api.records import HORIZONS_S
from sentinel_api.v1alpha1.buffernode import (
    MAX_AMOUNT,
    MAX_TALLY,
    BufferNodeStatus,
    BufferState,
    DataPlaneStatus,
    ForecastPoint,
    NodeForecast,
    Scores,
    Versions,
)
from sentinel_api.v1alpha1.conditions import MAX_NODE_MESSAGE, NodeCondition
from sentinel_bpf.buffer.port import Tier
from sentinel_core.sample import Valid

if TYPE_CHECKING:
    from sentinel_agent.loop import Tick
    from sentinel_bpf.buffer.port import Verdict
    from sentinel_core.score import Marks

State = Literal["Starting", "Active", "Draining", "Detached"]

TIER_REASONS = {Tier.BPF_QDISC: "BpfQdisc", Tier.HTB: "Htb", Tier.OBSERVE: "ObserveOnly"}


def status(tick: Tick, verdict: Verdict, versions: Versions, state: State = "Active") -> BufferNodeStatus:
    """At most 2 KiB, whatever happens on the node: counts and quantiles only."""
    demand = tick.forecast.node_demand()
    sample, limit = tick.observed.sample, tick.chosen.limit_bytes
    return BufferNodeStatus(
        config_digest=tick.config_digest,
        state=state,
        versions=versions,
        data_plane=DataPlaneStatus(tier=verdict.tier.value, reason=TIER_REASONS[verdict.tier]),
        forecast=NodeForecast(
            seq=min(tick.seq, MAX_TALLY),
            observed_at=datetime.fromtimestamp(tick.wall_ns // 10**9, UTC),
            demand_bytes_per_second=_amount(sample.per_second("bytes").sum()),
            points=tuple(
                ForecastPoint(horizon_seconds=seconds, p50=_amount(demand.p50[i]), p95=_amount(demand.p95[i]))
                for i, seconds in enumerate(HORIZONS_S)
            ),
        ),
        buffer=BufferState(
            pool_bytes=_amount(tick.pool_bytes),
            granted_bytes=_amount(sum(limit.values())),
            held_bytes=_amount(sample.backlog_bytes.sum()),
        ),
        scores=_scores(tick.marks),
        conditions=(ready(verdict, tick.wall_ns),),
    )


def _scores(marks: Marks) -> Scores:
    return Scores(
        hits=min(marks.hits, MAX_TALLY),
        misses=min(marks.misses, MAX_TALLY),
        false_alarms=min(marks.false_alarms, MAX_TALLY),
        precision_percent=round(100 * (marks.precision or 0.0)),
        lead_time_millis=round(1000 * (marks.lead_s or 0.0)),
        brier_permille=round(1000 * (marks.brier or 0.0)),
        trusted=marks.trusted,
    )


def _amount(value: float) -> int:
    """More than a node can carry is told as the most that the status has room for."""
    return min(int(value), MAX_AMOUNT)


def ready(verdict: Verdict, wall_ns: int) -> NodeCondition:
    """An agent that ticks is ready, also where it may only observe; the tier tells that apart."""
    return NodeCondition(
        type="Ready",
        status="True",
        reason="Ticking",
        message=verdict.why[:MAX_NODE_MESSAGE],
        last_transition_time=datetime.fromtimestamp(wall_ns // 10**9, UTC),
    )


def state(tick: Tick, verdict: Verdict) -> dict[str, Any]:
    """`/debug/state`: the last tick with its reasons."""
    sample, found = tick.observed.sample, tick.chosen.allocation
    return {
        "seq": tick.seq,
        "tookMicros": tick.took_ns // 1000,
        "missed": tick.missed,
        "tier": verdict.tier.value,
        "why": verdict.why,
        "configDigest": tick.config_digest,
        "forecast": tick.forecast.source,
        "scores": _scores(tick.marks).wire(),
        "classes": {
            name: {
                "limitBytes": tick.chosen.limit_bytes[each],
                "reason": found.reason(each),
                "capBytes": int(found.cap_bytes[each]),
                "staticBytes": int(found.static_bytes[each]),
                "reactiveBytes": int(found.reactive_bytes[each]),
                "backlogBytes": int(sample.backlog_bytes[each]),
                "arrivalsBytesPerSecond": int(sample.per_second("bytes")[each]),
                "drainBytesPerSecond": int(tick.observed.drain_bps[each]),
                "sojournMicrosP99": int(sample.sojourn_us_p99[each]) if sample.has(Valid.SOJOURN)[each] else None,
                "dropsPerSecond": float(sample.per_second("drops")[each]),
            }
            for each, name in sorted(tick.names.items())
        },
        "decisions": [decision.sentence() for decision in tick.chosen.decisions],
    }
