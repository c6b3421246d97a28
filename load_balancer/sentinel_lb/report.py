"""A tick, told: to the mesh, as JSON for a person, as metrics. It never steers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from sentinel_api.records import NO_FLAGS, Flag, NodeState, Role, Share, Tier
from sentinel_bpf import layout
from sentinel_core.rules import PROTOCOLS
from sentinel_lb.decide.checkup import Health
from sentinel_lb.decide.services import FRAGMENTS
from sentinel_lb.decide.weights import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import numpy as np
    from prometheus_client.core import Metric

    from sentinel_api.records import Digest
    from sentinel_lb.act.checkup import Checkup, Key
    from sentinel_lb.act.plane import Plane
    from sentinel_lb.act.prober import Prober
    from sentinel_lb.loop import Loop, Tick


def node_state(tick: Tick, born: int, seq: int) -> NodeState:
    """That this balancer is there; others share its addresses when it is not, or when it is about to go."""
    flags = Flag.DRAINING if tick.config.draining else NO_FLAGS
    return NodeState(incarnation=born, seq=seq, tier=Tier.C, role=Role.EDGE, flags=flags)


def share(tick: Tick, born: int) -> Share:
    return Share(born, tick.seq, tick.intended)


def state(tick: Tick, health: Mapping[Key, Health], spared: Mapping[Key, frozenset[int]]) -> dict[str, Any]:
    """`/debug/state`: the last tick with its reasons."""
    names = {each.seat.number: each.seat.spec.name for each in tick.standings}
    return {
        "seq": tick.seq,
        "tookMicros": tick.took_ns // 1000,
        "announced": list(tick.announced),
        "balancers": list(tick.world.balancers),
        "uplink": {"address4": tick.world.ways.uplink.address4, "address6": tick.world.ways.uplink.address6},
        "vips": [
            {"address": each.address, "port": each.port, "protocol": each.protocol, "backends": len(each.members)}
            | (_asked((each.address, each.port), health, spared, names) if each.protocol == PROTOCOLS["TCP"] else {})
            for each in tick.services
            if each.port != FRAGMENTS
        ],
        "backends": {
            each.seat.spec.name: {
                "number": each.seat.number,
                "address": each.seat.spec.address,
                "state": each.state.value,
                "reason": each.reason,
                "probe": tick.world.probes[each.seat.number].value,
                "load": each.load,
                "packets": int(tick.world.packets[each.seat.number]),
                "roomBytes": {name: each.room[number] for number, name in sorted(tick.names.items())}
                if each.state is State.READY
                else {},
                "intendedBytesPerSecond": {
                    name: tick.intended[each.seat.spec.name][number] for number, name in sorted(tick.names.items())
                },
                "share": {
                    name: {"percent": round(100 * found.share), "reason": found.reason}
                    for number, name in sorted(tick.names.items())
                    if (found := tick.weights[number].get(each.seat.spec.name)) is not None
                },
            }
            for each in tick.standings
        },
        "zones": {
            name: {"nodes": zone.nodes, "speak": zone.fresh_nodes, "demandBytesPerSecond": zone.demand_now}
            for name, zone in tick.world.zones.items()
        },
    }


def _asked(
    key: Key, health: Mapping[Key, Health], spared: Mapping[Key, frozenset[int]], names: Mapping[int, str]
) -> dict[str, Any]:
    """What was found out by asking the service."""
    return {
        "health": health.get(key, Health.UNKNOWN).value,
        "avoids": sorted(names.get(number, str(number)) for number in spared.get(key, ())),
    }


class BalancerCollector(Collector):
    """Made from the last tick and the kernel's counters when Prometheus asks."""

    def __init__(self, loop: Callable[[], Loop | None], plane: Plane, prober: Prober, checkup: Checkup) -> None:
        self._loop = loop
        self._plane = plane
        self._prober = prober
        self._checkup = checkup
        self._reasons = _names(plane)

    def collect(self) -> Iterator[Metric]:
        yield from self._kernel()
        yield CounterMetricFamily("sentinel_lb_probes_sent", "Probes sent to nodes.", self._prober.sent)
        yield CounterMetricFamily("sentinel_lb_probes_late", "Rounds of probes that came late.", self._prober.late)
        loop = self._loop()
        if loop is None:
            return
        yield CounterMetricFamily("sentinel_lb_ticks", "Ticks that were answered.", loop.totals.ticks)
        yield CounterMetricFamily(
            "sentinel_lb_ticks_missed", "Instants of the grid that were skipped.", loop.totals.missed
        )
        yield CounterMetricFamily("sentinel_lb_ticks_failed", "Ticks that ended with an error.", loop.totals.failed)
        if loop.last is not None:
            yield from self._tick(loop.last)
            yield from self._asked(loop.hands.spared)

    def _tick(self, tick: Tick) -> Iterator[Metric]:
        yield GaugeMetricFamily("sentinel_lb_tick_duration_seconds", "Duration of the last tick.", tick.took_ns / 1e9)
        yield GaugeMetricFamily(
            "sentinel_lb_announced_addresses", "Addresses announced from here.", len(tick.announced)
        )
        states = GaugeMetricFamily(
            "sentinel_lb_backend_state", "1 for the state in force.", labels=["backend", "state"]
        )
        for each in tick.standings:
            for one in State:
                states.add_metric([each.seat.spec.name, one.value], float(each.state is one))
        yield states
        yield from _cells(
            "backend",
            self._plane.cells("sn_lb_by_node"),
            {each.seat.spec.name: each.seat.number for each in tick.standings},
        )
        yield from _cells("vip", self._plane.cells("sn_lb_by_vip"), self._indexes())
        yield from _zones(tick.world.zones)

    def _asked(self, spared: Mapping[Key, frozenset[int]]) -> Iterator[Metric]:
        health = GaugeMetricFamily(
            "sentinel_lb_vip_health",
            "1 for what the service at the address last did when asked.",
            labels=["vip", "health"],
        )
        for (address, port), found in sorted(self._checkup.health.items()):
            for verdict in Health:
                health.add_metric([f"{address} {port}/{PROTOCOLS['TCP']}", verdict.value], float(found is verdict))
        yield health
        avoided = GaugeMetricFamily(
            "sentinel_lb_vip_avoids",
            "Nodes that new clients are kept from: the service does not answer behind them, and does behind others.",
            labels=["vip"],
        )
        for address, port in sorted(self._checkup.health):
            numbers = spared.get((address, port), frozenset())
            avoided.add_metric([f"{address} {port}/{PROTOCOLS['TCP']}"], float(len(numbers)))
        yield avoided

    def _indexes(self) -> Mapping[str, int]:
        return {
            f"{vip.address} {vip.port}/{vip.protocol}": served.index
            for vip, served in self._plane.tables.vips().items()
            if vip.port != FRAGMENTS
        }

    def _kernel(self) -> Iterator[Metric]:
        totals = self._plane.cells("sn_lb_reasons")["packets"].sum(axis=0)
        family = CounterMetricFamily("sentinel_lb_packets", "Packets, by what became of them.", labels=["reason"])
        for number, name in self._reasons.items():
            if totals[number]:
                family.add_metric([name], float(totals[number]))
        yield family


def _cells(label: str, cells: np.ndarray[Any, np.dtype[Any]], indexes: Mapping[str, int]) -> Iterator[Metric]:
    texts = {
        "packets": "Packets sent on",
        "bytes": "Bytes sent on",
        "new_flows": "Flows that began",
        "refused": "Packets that reached no backend",
    }
    for column, text in texts.items():
        family = CounterMetricFamily(f"sentinel_lb_{label}_{column}", f"{text}, by {label}.", labels=[label])
        totals = cells[column].sum(axis=0)
        for name, index in indexes.items():
            family.add_metric([name], float(totals[index]))
        yield family


def _zones(zones: Mapping[str, Digest]) -> Iterator[Metric]:
    nodes = GaugeMetricFamily("sentinel_lb_zone_nodes", "Buffer nodes of a zone that speak.", labels=["zone"])
    demand = GaugeMetricFamily(
        "sentinel_lb_zone_demand_bytes_per_second", "What the nodes of a zone carry now.", labels=["zone"]
    )
    for name, zone in zones.items():
        nodes.add_metric([name], zone.fresh_nodes)
        demand.add_metric([name], zone.demand_now)
    yield from (nodes, demand)


def _names(plane: Plane) -> Mapping[int, str]:
    path = plane.place.object_path
    found = {
        number: name.removeprefix("SN_LB_").removeprefix("SN_REASON_").lower()
        for enum in ("sn_lb_reason", "sn_reason")
        for name, number in layout.constants(path, enum).items()
        if name not in ("SN_REASONS", "SN_LB_REASON_END")
    }
    return dict(sorted(found.items()))
