"""What the node tells the others of its last tick, made outside the tick's thread; and what it hears, as metrics."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from prometheus_client.registry import Collector

from sentinel_agent.metrics import counter, gauge, single
from sentinel_agent.predict.present import Present
from sentinel_agent.predict.smoothing import Smoothing
from sentinel_agent.report import worst
from sentinel_api import records
from sentinel_api.errors import Invalid
from sentinel_api.records import CLASSES, ClassState, Demand, Flag, NodeState, Role
from sentinel_core.signature import HAZARD_BINS, MAGNITUDE_LEVELS
from sentinel_mesh import certificates
from sentinel_mesh.credentials import read
from sentinel_mesh.membership import Level
from sentinel_mesh.mesh import Mesh, incarnation
from sentinel_mesh.place import Place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client.core import Metric

    from sentinel_agent.tick import Tick
    from sentinel_core.forecast import Forecast
    from sentinel_mesh.credentials import Credentials
    from sentinel_mesh.settings import MeshSettings

P50, P90 = MAGNITUDE_LEVELS.index(0.5), MAGNITUDE_LEVELS.index(0.9)


@dataclass(frozen=True, slots=True, eq=False)
class Told:
    """A tick, and what it does not say itself."""

    tick: Tick
    draining: bool = False


def join(chosen: MeshSettings, node: str) -> Mesh[Told]:
    """Raises Invalid when the node cannot listen where it should."""
    place = place_of(chosen, node)
    return Mesh(place, lambda told, seq: state(told, place.incarnation, seq))


def place_of(chosen: MeshSettings, node: str) -> Place:
    """Behind routers, which large clusters have, it hears alarms only: a thousand states ten times a second say nothing
    to it, so what it hears does not grow with the cluster."""
    return Place(
        chosen.cluster, node, incarnation(), chosen.listen, chosen.peers, alarms_only=chosen.behind_routers,
        routers=chosen.routers, credentials=chosen.credentials, members=chosen.members, roll=chosen.roll,
        zone=chosen.zone, zones=chosen.zones,
    )  # fmt: skip


def state(told: Told, born: int, seq: int) -> NodeState:
    tick = told.tick
    rate = sum(lane.interface.rate_bytes_per_s for lane in tick.lanes)
    forecast = tick.forecast()
    expected = forecast.node_demand()
    return NodeState(
        incarnation=born,
        seq=seq,
        tier=records.Tier(ord(worst(tick).tier.value) - ord("A") + 1),
        role=Role.BUFFER,
        flags=_flags(told),
        load=tick.arrivals_bps / rate if rate else 0.0,
        demand=Demand(int(tick.carried_bps), tuple(map(int, expected.p50)), tuple(map(int, expected.p95))),
        classes=_classes(tick, forecast),
    )


def _flags(told: Told) -> Flag:
    tick, flags = told.tick, records.NO_FLAGS
    if any(lane.forecast.source in (Smoothing.name, Present.name) for lane in tick.lanes):
        flags |= Flag.FALLBACK_FORECAST
    if not tick.trusted:
        flags |= Flag.FORECAST_GATED
    if tick.blind or any(lane.trouble for lane in tick.lanes):
        flags |= Flag.DEGRADED
    return flags | Flag.DRAINING if told.draining else flags


def _classes(tick: Tick, forecast: Forecast) -> tuple[ClassState, ...]:
    room = tick.headroom_bytes()
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


class MeshCollector(Collector):
    """Looks at the mesh when Prometheus asks."""

    def __init__(self, mesh: Mesh[Told], credentials: Credentials | None = None) -> None:
        self._mesh, self._credentials = mesh, credentials

    def collect(self) -> Iterator[Metric]:
        view = self._mesh.view()
        members = gauge("sentinel_mesh_members")
        for level in Level:
            members.add_metric([level.value], sum(each.level is level for each in view.members.values()))
        refused = counter("sentinel_mesh_refused")
        for reason, count in view.refused.items():
            refused.add_metric([reason.value], count)
        yield from (members, refused)
        yield single("sentinel_mesh_states_sent", self._mesh.sent)
        yield single("sentinel_mesh_states_unsent", self._mesh.unsent)
        yield single("sentinel_mesh_certificates_renewed", self._mesh.renewed)
        yield single("sentinel_mesh_certificate_stale", float(bool(self._mesh.trouble)))
        yield from self._left()

    def _left(self) -> Iterator[Metric]:
        """Nothing where there is no certificate, or none that can be read: that one is stale then."""
        if self._credentials is None or not self._credentials.present():
            return
        with suppress(Invalid):
            pem = read(self._credentials.certificate, "certificate")
            yield single("sentinel_mesh_certificate_left", certificates.left(pem, datetime.now(UTC)))
