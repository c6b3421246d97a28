"""A tick, told: as the status of the BufferNode and as JSON for a person. It never steers."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from sentinel_api.records import HORIZONS_S
from sentinel_api.v1alpha1.buffernode import (
    MAX_AMOUNT,
    MAX_TALLY,
    BufferNodeStatus,
    BufferState,
    DataPlaneStatus,
    ForecastPoint,
    NodeForecast,
    PoolShares,
    Scores,
    Versions,
)
from sentinel_api.v1alpha1.conditions import MAX_NODE_MESSAGE, NodeCondition
from sentinel_bpf.buffer.port import Tier, Verdict
from sentinel_core.allocate import LEAD_SECONDS
from sentinel_core.sample import Valid

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from sentinel_agent.tick import LaneTick, Tick
    from sentinel_core.sample import Sample
    from sentinel_core.score import Marks

State = Literal["Starting", "Active", "Draining", "Detached"]

TIER_REASONS: Final = {Tier.BPF_QDISC: "BpfQdisc", Tier.HTB: "Htb", Tier.OBSERVE: "ObserveOnly"}
NOT_READ: Final = "NotRead"


def status(tick: Tick, versions: Versions, state: State = "Active", *more: NodeCondition) -> BufferNodeStatus:
    """At most 2 KiB, whatever happens on the node: counts and quantiles only."""
    verdict = worst(tick)
    demand = tick.demand()
    return BufferNodeStatus(
        config_digest=tick.config_digest,
        state=state,
        versions=versions,
        data_plane=DataPlaneStatus(
            tier=verdict.tier.value, reason=NOT_READ if _unsteered(tick) else TIER_REASONS[verdict.tier]
        ),
        forecast=NodeForecast(
            seq=min(tick.seq, MAX_TALLY),
            observed_at=datetime.fromtimestamp(tick.wall_ns // 10**9, UTC),
            demand_bytes_per_second=_amount(tick.carried_bps),
            points=tuple(
                ForecastPoint(horizon_seconds=seconds, p50=_amount(demand.p50[i]), p95=_amount(demand.p95[i]))
                for i, seconds in enumerate(HORIZONS_S)
            ),
        ),
        buffer=BufferState(
            pool_bytes=_amount(tick.pool.total),
            granted_bytes=_amount(tick.pool.granted),
            held_bytes=_amount(tick.pool.held),
            dropped_packets=min(sum(int(lane.counters.drops.sum()) for lane in tick.lanes), MAX_AMOUNT),
            pool_permille=_shares(tick),
        ),
        scores=_scores([lane.marks for lane in tick.lanes]),
        conditions=(ready(verdict, tick.wall_ns), *more),
    )


def worst(tick: Tick) -> Verdict:
    """A node enforces as well as its weakest interface; one that cannot be read or steered enforces nothing."""
    for name, why in _unsteered(tick).items():
        return Verdict(Tier.OBSERVE, f"{name}: {why}")
    return max((lane.verdict for lane in tick.lanes), key=lambda verdict: verdict.tier.value)


def _unsteered(tick: Tick) -> dict[str, str]:
    return dict(tick.blind) | {lane.interface.name: lane.trouble for lane in tick.lanes if lane.trouble}


def _scores(marks: list[Marks]) -> Scores:
    """Of all interfaces together; the medians and means are those of the one that was scored most."""
    hits, misses, false_alarms = (sum(getattr(each, name) for each in marks) for name in COUNTED)
    most = max(marks, key=lambda each: each.hits + each.false_alarms)
    alarms = hits + false_alarms
    return Scores(
        hits=min(hits, MAX_TALLY),
        misses=min(misses, MAX_TALLY),
        false_alarms=min(false_alarms, MAX_TALLY),
        precision_percent=round(100 * hits / alarms) if alarms else 0,
        lead_time_millis=round(1000 * (most.lead_s or 0.0)),
        brier_permille=round(1000 * (most.brier or 0.0)),
        trusted=any(each.trusted for each in marks),
    )


def _shares(tick: Tick) -> PoolShares:
    """Who has the pool. Rounded up, so that what is there shows."""
    found = tick.chosen.allocation
    last = max(each for lane in tick.lanes for each in lane.names)

    def permille(rows: NDArray[np.int64]) -> tuple[int, ...]:
        by_class = tick.by_class(rows)[: last + 1] * 1000
        return tuple(np.minimum(-(-by_class // tick.pool.total), 1000).tolist())

    return PoolShares(
        granted=permille(found.limit_bytes), lent=permille(found.lent_bytes), recalled=permille(tick.pool.taken_back)
    )


COUNTED: Final = ("hits", "misses", "false_alarms")


def _amount(value: float) -> int:
    """More than a node can carry is told as the most that the status has room for."""
    return min(int(value), MAX_AMOUNT)


def ready(verdict: Verdict, wall_ns: int) -> NodeCondition:
    """An agent that ticks is ready, also where it may only observe; the tier tells that apart."""
    return condition("Ready", "True", "Ticking", verdict.why, wall_ns)


def condition(
    kind: str, held: Literal["True", "False", "Unknown"], reason: str, message: str, wall_ns: int
) -> NodeCondition:
    return NodeCondition(
        type=kind,
        status=held,
        reason=reason,
        message=message[:MAX_NODE_MESSAGE],
        last_transition_time=datetime.fromtimestamp(wall_ns // 10**9, UTC),
    )


def state(tick: Tick) -> dict[str, Any]:
    """`/debug/state`: the last tick with its reasons."""
    verdict = worst(tick)
    return {
        "seq": tick.seq,
        "monotonicNanos": tick.at_ns,
        "tookMicros": tick.took_ns // 1000,
        "missed": tick.missed,
        "tier": verdict.tier.value,
        "why": verdict.why,
        "configDigest": tick.config_digest,
        "forecast": tick.lanes[0].forecast.source,
        "scores": _scores([lane.marks for lane in tick.lanes]).wire(),
        "pool": {
            "totalBytes": tick.pool.total,
            "grantedBytes": tick.pool.granted,
            "lentBytes": tick.pool.lent,
            "recalledBytes": tick.pool.recalled,
            "heldBytes": tick.pool.held,
        },
        "interfaces": {lane.interface.name: _lane(lane) for lane in tick.lanes}
        | {name: {"unread": why} for name, why in tick.blind.items()},
        "classes": dict(_classes(tick)),
        "decisions": [decision.sentence() for decision in tick.chosen.decisions],
    }


def _lane(lane: LaneTick) -> dict[str, Any]:
    return {
        "direction": lane.interface.direction.value,
        "tier": lane.verdict.tier.value,
        "why": lane.verdict.why,
        "trouble": lane.trouble,
        "note": lane.note,
        "forecast": lane.forecast.source,
        "trusted": lane.marks.trusted,
    }


def _classes(tick: Tick) -> Iterable[tuple[str, dict[str, Any]]]:
    """By name; with several interfaces by name and interface."""
    for lane in tick.lanes:
        for each, name in sorted(lane.names.items()):
            subject = name if len(tick.lanes) + len(tick.blind) == 1 else f"{name} on {lane.interface.name}"
            yield subject, _class(tick, lane, each)


def _class(tick: Tick, lane: LaneTick, each: int) -> dict[str, Any]:
    sample, found, row = lane.observed.sample, tick.chosen.allocation, lane.row(each)
    return {
        "interface": lane.interface.name,
        "limitBytes": tick.chosen.limit_bytes[row],
        "reason": found.reason(row),
        "capBytes": int(found.cap_bytes[row]),
        "staticBytes": int(found.static_bytes[row]),
        "reactiveBytes": int(found.reactive_bytes[row]),
        "forecastBytes": int(found.forecast_bytes[row]),
        "lentBytes": int(found.lent_bytes[row]),
        "recalledBytes": int(tick.pool.taken_back[row]),
        "burstChance": round(float(lane.forecast.burst_within(LEAD_SECONDS)[each]), 3),
        "secondsToBurst": float(lane.forecast.seconds_to_burst()[each]),
        "severity": round(float(lane.signs.severity[each]), 3),
        "signs": lane.signs.words(each),
        "backlogBytes": int(sample.backlog_bytes[each]),
        "arrivalsBytesPerSecond": int(sample.per_second("bytes")[each]),
        "packetsPerSecond": float(sample.per_second("packets")[each]),
        "newFlowsPerSecond": float(sample.per_second("new_flows")[each]),
        "synsPerSecond": float(sample.per_second("syns")[each]),
        "drainBytesPerSecond": int(lane.observed.drain_bps[each]),
        **_sojourn(sample, each),
        "dropsPerSecond": float(sample.per_second("drops")[each]),
    }


def _sojourn(sample: Sample, each: int) -> dict[str, int | None]:
    """None where nothing was timed in this tick."""
    timed = bool(sample.has(Valid.SOJOURN)[each])
    return {
        f"sojournMicros{name.upper()}": int(getattr(sample, f"sojourn_us_{name}")[each]) if timed else None
        for name in ("p50", "p95", "p99")
    }
