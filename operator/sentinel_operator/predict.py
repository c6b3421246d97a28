"""Node reports to the demand of the fleet, at the time that a new node takes to come; learns how nodes go together.

Pure: what must be remembered from one decision to the next is a value that goes in and comes out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sentinel_api.v1alpha1.buffercluster import BufferCluster
from sentinel_api.v1alpha1.buffernode import HORIZONS_SECONDS, BufferNode, NodeForecast
from sentinel_operator.decide import claims, foresight, growth
from sentinel_operator.decide.demand import Demand, Known, Report, fleet
from sentinel_operator.decide.freshness import silence_s
from sentinel_operator.decide.leadtime import lead_time_s
from sentinel_operator.decide.world import World

CHECKED_S = HORIZONS_SECONDS[0]  # the horizon whose forecasts are compared with what came
PRIOR_ROUNDS = 30  # the correlation known before weighs as much as so many comparisons
FORGET = 0.99  # each comparison counts for a hundredth less than the next one


@dataclass(frozen=True, slots=True)
class Foretold:
    """What the nodes were expected to carry at `at`."""

    at: datetime
    p50: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Memory:
    """Forecasts that wait for their time, and what the ones before have taught."""

    prior: float = 1.0  # the correlation that the last leader knew; 1 hopes for nothing
    waiting: tuple[Foretold, ...] = ()
    together: float = 0.0  # Σ over pairs of nodes of the product of their errors
    apart: float = 0.0  # the same of the errors' sizes: what it would be if all erred alike
    rounds: float = 0.0
    seen: tuple[growth.Seen, ...] = ()  # what all carried in the last minutes; a new leader waits for its own
    record: foresight.Record = field(default_factory=foresight.Record)  # of forecasts of late; a new leader has none

    @property
    def correlation(self) -> float:
        """In [0, 1]; errors that cancel out are never hoped to do more than that."""
        if not self.apart:
            return self.prior
        learned = min(max(self.together / self.apart, 0.0), 1.0)
        weight = self.rounds / (self.rounds + PRIOR_ROUNDS)
        return self.prior + (learned - self.prior) * weight


def remembered(world: World) -> Memory:
    """What a new leader starts with."""
    status = world.cluster.status
    return Memory(prior=status.scaling.correlation_percent / 100 if status else 1.0)


def predict(world: World, memory: Memory) -> tuple[Demand, Memory]:
    reports = _reports(world)
    learned = _learned(memory, world, reports)
    demand = fleet(reports, lead_time_s(world.cluster), learned.correlation)
    seen = growth.kept(memory.seen, growth.Seen(world.now, demand.seen.now))
    ahead_s = demand.horizon_s + world.cluster.spec.scaling.interval_seconds  # the next decision is as late
    record = foresight.kept(learned.record, world.now, demand.seen, demand.horizon_s)
    return (
        replace(demand, rise=growth.rise(seen, ahead_s), pays=record.pays),
        replace(learned, seen=seen, record=record),
    )


def _reports(world: World) -> tuple[Report, ...]:
    ours = {node.metadata.name: node for node in world.own_nodes}
    return tuple(_report(world, node.name, ours.get(node.name)) for node in claims.claimed(world))


def _report(world: World, name: str, node: BufferNode | None) -> Report:
    said = newest(world, node) if node else None
    if node is None or said is None:
        return Report(name)
    trusted = _trusted(world.cluster, node)
    return Report(
        node=name,
        known=at_horizon(said, lead_time_s(world.cluster) if trusted else 0),
        fresh=(world.now - said.observed_at).total_seconds() <= silence_s(node),
        foresees=trusted and bool(said.points),
        by_mesh=said is world.heard.get(name),
    )


def newest(world: World, node: BufferNode) -> NodeForecast | None:
    """Of what the mesh brought and what the node's agent wrote; a node that was handed back says nothing any more."""
    if node.status is not None and node.status.state == "Detached":
        return None
    written, heard = node.status.forecast if node.status else None, world.heard.get(node.metadata.name)
    if heard is None or (written is not None and written.observed_at > heard.observed_at):
        return written
    return heard


def _trusted(cluster: BufferCluster, node: BufferNode) -> bool:
    """Distrust must be earned: a node whose alarms are too few to be judged is believed."""
    if node.status is None:
        return False
    scores = node.status.scores
    judged = scores.hits + scores.false_alarms >= cluster.spec.model.gate.min_events
    return scores.trusted or not judged


def at_horizon(said: NodeForecast, seconds: int) -> Known:
    """Between two horizons in proportion; beyond the last one as at the last."""
    now = float(said.demand_bytes_per_second)
    before = (0, now, now)
    for point in sorted(said.points, key=lambda point: point.horizon_seconds):
        after = (point.horizon_seconds, float(point.p50), float(point.p95))
        if after[0] >= seconds:
            share = (seconds - before[0]) / (after[0] - before[0])
            return Known(now, before[1] + share * (after[1] - before[1]), before[2] + share * (after[2] - before[2]))
        before = after
    return Known(now, before[1], before[2])


def _learned(memory: Memory, world: World, reports: tuple[Report, ...]) -> Memory:
    """Compares the forecasts whose time has come with what came, and keeps today's for later."""
    came = {report.node: report.known.now for report in reports if report.fresh and report.known}
    for foretold in memory.waiting:
        if foretold.at <= world.now:
            memory = _compared(memory, [came[name] - p50 for name, p50 in foretold.p50.items() if name in came])
    fresh = {report.node for report in reports if report.fresh}
    said = {n.metadata.name: newest(world, n) for n in world.own_nodes if n.metadata.name in fresh}
    p50 = {name: at_horizon(forecast, CHECKED_S).p50 for name, forecast in said.items() if forecast}
    later = tuple(foretold for foretold in memory.waiting if foretold.at > world.now)
    return replace(memory, waiting=(*later, Foretold(world.now + timedelta(seconds=CHECKED_S), p50)))


def _compared(memory: Memory, errors: list[float]) -> Memory:
    squares = sum(error**2 for error in errors)
    alike = sum(abs(error) for error in errors) ** 2 - squares
    if alike <= 0:
        return memory  # one node, or no error at all: nothing to learn from
    return replace(
        memory,
        together=FORGET * memory.together + sum(errors) ** 2 - squares,
        apart=FORGET * memory.apart + alike,
        rounds=FORGET * memory.rounds + 1,
    )
