"""The agent's metrics, made from the last tick when Prometheus asks: the tick itself pays nothing for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from sentinel_agent import sojourn
from sentinel_agent.described import FAMILIES
from sentinel_agent.timing import BOUNDS_S, STAGES
from sentinel_api.records import HORIZONS_S
from sentinel_bpf.buffer.port import Tier
from sentinel_core.precursor import WEIGHTS
from sentinel_core.sample import Valid
from sentinel_core.shadow import RULES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client.core import Metric

    from sentinel_agent.loop import Loop
    from sentinel_agent.tick import LaneTick, Tick

COUNTERS: Final = ("packets", "bytes", "flows", "drops", "syns")
"""Names of the class counters; `flows` counts first sights."""
COLUMNS: Final = {"flows": "new_flows"}

QUANTILES: Final = (("0.5", "p50"), ("0.95", "p95"), ("0.99", "p99"))


def gauge(name: str) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, FAMILIES[name].text, labels=FAMILIES[name].labels)


def counter(name: str) -> CounterMetricFamily:
    return CounterMetricFamily(name, FAMILIES[name].text, labels=FAMILIES[name].labels)


def single(name: str, value: float) -> Metric:
    family = counter(name) if FAMILIES[name].kind == "counter" else gauge(name)
    family.add_metric([], value)
    return family


class TickCollector(Collector):
    """Reads the loop's totals and the last tick; an agent without a tick yet shows its counters only."""

    def __init__(self, loop: Callable[[], Loop | None], last: Callable[[], Tick | None]) -> None:
        self._loop = loop
        self._last = last

    def collect(self) -> Iterator[Metric]:
        loop = self._loop()
        if loop is None:
            return
        yield from _totals(loop)
        yield from _lanes(loop)
        yield from _shadow(loop)
        tick = self._last()
        if tick is None:
            return
        yield from _pool(tick)
        yield from _demand(tick)
        yield from _kernel(tick)
        yield from _queues(tick)
        yield from _sojourn(tick)
        yield _waited(tick)
        yield _controller(tick)
        yield from _signs(tick)
        yield from _scores(tick)


def _totals(loop: Loop) -> Iterator[Metric]:
    totals, timings = loop.totals, loop.timings
    yield single("sentinel_ticks", totals.ticks)
    yield single("sentinel_ticks_missed", totals.missed)
    yield single("sentinel_ticks_failed", totals.failed)
    yield single("sentinel_forecast_fallbacks", loop.fallbacks)
    yield single("sentinel_buffer_resizes", totals.resized)
    yield single("sentinel_pool_lent_bytes", loop.loans.lent_total)
    yield single("sentinel_pool_recalled_bytes", int(loop.loans.taken_back.sum()))
    name = "sentinel_tick_duration_seconds"
    bounds = [*(str(bound) for bound in BOUNDS_S), "+Inf"]
    taken = HistogramMetricFamily(name, FAMILIES[name].text)
    counts = timings.buckets.cumsum().tolist()
    taken.add_metric([], list(zip(bounds, counts, strict=True)), float(timings.spent_ns.sum()) / 1e9)
    yield taken
    spent = counter("sentinel_tick_stage_seconds")
    for stage, spent_ns in zip(STAGES, timings.spent_ns.tolist(), strict=True):
        spent.add_metric([stage], spent_ns / 1e9)
    yield spent


def _lanes(loop: Loop) -> Iterator[Metric]:
    tier, steered = gauge("sentinel_data_plane_tier"), gauge("sentinel_interface_steered")
    flows, floor = gauge("sentinel_interface_flows"), gauge("sentinel_class_flow_floor_bytes")
    evicted, recalled = counter("sentinel_interface_flows_evicted"), counter("sentinel_class_recalled_bytes")
    unsaid, by_model = counter("sentinel_interface_unclassified_packets"), gauge("sentinel_forecast_by_model")
    for lane in loop.lanes:
        for each in "ABC":
            tier.add_metric([lane.name, each], float(each == lane.plane.verdict.tier.value))
        steered.add_metric([lane.name], float(lane.plane.enforcing and not lane.trouble))
        by_model.add_metric([lane.name], float(not lane.fault))
        flows.add_metric([lane.name], lane.flows.flows)
        evicted.add_metric([lane.name], float(lane.flows.evicted))
        unsaid.add_metric([lane.name], float(lane.flows.unclassified))
        for class_id, name in lane.names.items():
            floor.add_metric([lane.name, name], int(lane.flows.floor_bytes[class_id]))
            recalled.add_metric([lane.name, name], int(loop.loans.taken_back[lane.first_row + class_id]))
    yield from (tier, steered, by_model, flows, evicted, unsaid, floor, recalled)


def _shadow(loop: Loop) -> Iterator[Metric]:
    """Only of interfaces that are observed: nobody shall take it for what happened."""
    shadow = loop.shadow
    arrived, dropped = counter("sentinel_shadow_arrived_bytes"), counter("sentinel_shadow_dropped_bytes")
    peak = gauge("sentinel_shadow_peak_bytes")
    for lane in loop.lanes:
        for class_id, name in lane.names.items():
            row = lane.first_row + class_id
            if not shadow.imagined[row]:
                continue
            arrived.add_metric([lane.name, name], float(shadow.arrived_bytes[row]))
            for at, rule in enumerate(RULES):
                dropped.add_metric([lane.name, name, rule], float(shadow.dropped_bytes[at, row]))
                peak.add_metric([lane.name, name, rule], float(shadow.peak_bytes[at, row]))
    yield from (single("sentinel_shadow_seconds", shadow.seconds), arrived, dropped, peak)


def _pool(tick: Tick) -> Iterator[Metric]:
    family = gauge("sentinel_pool_bytes")
    for part in ("total", "granted", "lent", "held"):
        family.add_metric([part], getattr(tick.pool, part))
    yield family


def _demand(tick: Tick) -> Iterator[Metric]:
    family, expected = gauge("sentinel_forecast_bytes_per_second"), tick.demand()
    for values, quantile in ((expected.p50, "0.5"), (expected.p95, "0.95")):
        for value, horizon in zip(values, HORIZONS_S, strict=True):
            family.add_metric([f"{horizon}s", quantile], float(value))
    yield family


def _kernel(tick: Tick) -> Iterator[Metric]:
    """The counters as the last tick read them: they only grow, so a scrape between two ticks loses nothing."""
    for column in COUNTERS:
        family = counter(f"sentinel_class_{column}")
        for lane, each, name in _classes(tick):
            counted = getattr(lane.counters, COLUMNS.get(column, column))
            family.add_metric([lane.interface.name, name], float(counted[each]))
        yield family


def _queues(tick: Tick) -> Iterator[Metric]:
    limit, backlog = gauge("sentinel_class_limit_bytes"), gauge("sentinel_class_backlog_bytes")
    lent = gauge("sentinel_class_lent_bytes")
    sent, timed = counter("sentinel_class_sent_packets"), counter("sentinel_class_timed_packets")
    for lane, each, name in _classes(tick):
        labels = [lane.interface.name, name]
        limit.add_metric(labels, tick.chosen.limit_bytes[lane.row(each)])
        lent.add_metric(labels, int(tick.chosen.allocation.lent_bytes[lane.row(each)]))
        backlog.add_metric(labels, float(lane.observed.sample.backlog_bytes[each]))
        reading = lane.observed.readings.get(each)
        if reading is not None and reading.sojourn:
            sent.add_metric(labels, reading.sent_packets)
            timed.add_metric(labels, sum(reading.sojourn))
    yield from (limit, lent, backlog, sent, timed)


def _sojourn(tick: Tick) -> Iterator[Metric]:
    family = gauge("sentinel_class_sojourn_seconds")
    for lane, each, name in _classes(tick):
        sample = lane.observed.sample
        if sample.has(Valid.SOJOURN)[each]:
            for quantile, column in QUANTILES:
                micros = float(getattr(sample, f"sojourn_us_{column}")[each])
                family.add_metric([lane.interface.name, name, quantile], micros / 1e6)
    yield family


def _waited(tick: Tick) -> Metric:
    """Coarser than the kernel counts, as each bound costs a series; the sum takes packets to lie amid their bucket."""
    name = "sentinel_class_waited_seconds"
    family = HistogramMetricFamily(name, FAMILIES[name].text, labels=FAMILIES[name].labels)
    for lane, each, class_name in _classes(tick):
        reading = lane.observed.readings.get(each)
        if reading is not None and reading.sojourn:
            upto, seconds = sojourn.told(reading.sojourn)
            family.add_metric([lane.interface.name, class_name], upto, seconds)
    return family


def _controller(tick: Tick) -> Metric:
    family = gauge("sentinel_class_pid_output")
    for lane, each, name in _classes(tick):
        if lane.observed.pid_output is not None and lane.verdict.tier is not Tier.OBSERVE:
            family.add_metric([lane.interface.name, name], float(lane.observed.pid_output[each]))
    return family


def _signs(tick: Tick) -> Iterator[Metric]:
    severity, signs = gauge("sentinel_class_severity"), gauge("sentinel_class_sign")
    for lane, each, name in _classes(tick):
        severity.add_metric([lane.interface.name, name], float(lane.signs.severity[each]))
        for sign in WEIGHTS:
            signs.add_metric([lane.interface.name, name, sign], float(getattr(lane.signs, sign)[each]))
    yield from (severity, signs)


def _scores(tick: Tick) -> Iterator[Metric]:
    trusted, judged = gauge("sentinel_forecast_trusted"), gauge("sentinel_forecast_judged")
    brier, lead = gauge("sentinel_forecast_brier"), gauge("sentinel_forecast_lead_seconds")
    for lane in tick.lanes:
        trusted.add_metric([lane.interface.name], float(lane.marks.trusted))
        for outcome in ("hits", "misses", "false_alarms"):
            judged.add_metric([lane.interface.name, outcome], getattr(lane.marks, outcome))
        if lane.marks.brier is not None:
            brier.add_metric([lane.interface.name], lane.marks.brier)
        if lane.marks.lead_s is not None:
            lead.add_metric([lane.interface.name], lane.marks.lead_s)
    yield from (trusted, judged, brier, lead)


def _classes(tick: Tick) -> Iterator[tuple[LaneTick, int, str]]:
    for lane in tick.lanes:
        for each, name in lane.names.items():
            yield lane, each, name
