"""What the node tells the others of its last tick, made outside the tick's thread; and what it hears, as metrics."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from sentinel_agent.predict.smoothing import Smoothing
from sentinel_api import records
from sentinel_api.records import CLASSES, ClassState, Demand, Flag, NodeState, Role
from sentinel_bpf.buffer.port import Tier
from sentinel_core.signature import HAZARD_BINS, MAGNITUDE_LEVELS
from sentinel_mesh.engine import Place
from sentinel_mesh.membership import Level
from sentinel_mesh.mesh import Mesh, incarnation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric

    from sentinel_agent.loop import Tick
    from sentinel_agent.settings import MeshSettings

P50, P90 = MAGNITUDE_LEVELS.index(0.5), MAGNITUDE_LEVELS.index(0.9)


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """A tick and what it does not say itself: how this node enforces, and how fast its interface may empty."""

    tick: Tick
    tier: Tier
    rate_bytes_per_s: int


def join(chosen: MeshSettings, node: str) -> Mesh[Told]:
    """Raises Invalid when the node cannot listen where it should."""
    place = Place(chosen.cluster, node, incarnation(), chosen.listen, chosen.peers)
    return Mesh(place, lambda told, seq: state(told, place.incarnation, seq))


def state(told: Told, born: int, seq: int) -> NodeState:
    tick, rate = told.tick, told.rate_bytes_per_s
    now = float(tick.observed.sample.per_second("bytes").sum())
    expected = tick.forecast.node_demand()
    flags = Flag.FALLBACK_FORECAST if tick.forecast.source == Smoothing.name else records.NO_FLAGS
    if not tick.marks.trusted:
        flags |= Flag.FORECAST_GATED
    return NodeState(
        incarnation=born,
        seq=seq,
        tier=records.Tier(ord(told.tier.value) - ord("A") + 1),
        role=Role.BUFFER,
        flags=flags,
        load=now / rate if rate else 0.0,
        demand=Demand(int(now), tuple(map(int, expected.p50)), tuple(map(int, expected.p95))),
        classes=_classes(told),
    )


def _classes(told: Told) -> tuple[ClassState, ...]:
    forecast = told.tick.forecast
    room = _headroom_bytes(told)
    chance, onset_s = forecast.burst_within(HAZARD_BINS), forecast.seconds_to_burst()
    return tuple(
        ClassState(
            headroom_bytes=int(room[each]),
            burst_probability=float(chance[each]),
            burst_in_s=float(onset_s[each]),
            burst_p50_bytes=int(forecast.magnitude_bytes[each, P50]),
            burst_p90_bytes=int(forecast.magnitude_bytes[each, P90]),
        )
        for each in range(CLASSES)
    )


def _headroom_bytes(told: Told) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """What each class can take in the next second: the room that is left, and what leaves meanwhile.

    A node that only observes promises nothing, and neither does any for a class that it does not have.
    """
    room = np.zeros(CLASSES)
    if told.tier is Tier.OBSERVE:
        return room
    observed = told.tick.observed
    for each, limit_bytes in told.tick.chosen.limit_bytes.items():
        room[each] = limit_bytes - float(observed.sample.backlog_bytes[each]) + observed.drain_bps[each]
    return np.maximum(room, 0.0)


class MeshCollector(Collector):
    """Looks at the mesh when Prometheus asks."""

    def __init__(self, mesh: Mesh[Told]) -> None:
        self._mesh = mesh

    def collect(self) -> Iterator[Metric]:
        view = self._mesh.view()
        members = GaugeMetricFamily("sentinel_mesh_members", "Other nodes of the mesh, by level.", labels=["level"])
        for level in Level:
            members.add_metric([level.value], sum(each.level is level for each in view.members.values()))
        refused = CounterMetricFamily("sentinel_mesh_refused", "Records that were not believed.", labels=["reason"])
        for reason, count in view.refused.items():
            refused.add_metric([reason.value], count)
        yield from (members, refused)
        yield CounterMetricFamily("sentinel_mesh_states_sent", "States told to the others.", self._mesh.sent)
        yield CounterMetricFamily("sentinel_mesh_states_unsent", "States the engine did not take.", self._mesh.unsent)
