"""The agent's metrics, made from the last tick when Prometheus asks: the tick itself pays nothing for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from sentinel_api.records import HORIZONS_S
from sentinel_core.sample import Valid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from prometheus_client.core import Metric

    from sentinel_agent.loop import Loop, Tick

COUNTERS = {
    "packets": ("sentinel_class_packets", "Packets that arrived, by traffic class."),
    "bytes": ("sentinel_class_bytes", "Bytes that arrived, by traffic class."),
    "new_flows": ("sentinel_class_flows", "Flows seen for the first time, by traffic class."),
    "drops": ("sentinel_class_drops", "Packets dropped by the policer or the queue, by traffic class."),
    "syns": ("sentinel_class_syns", "TCP SYNs that arrived, by traffic class."),
}


class TickCollector(Collector):
    """Reads the loop's totals and the last tick; an agent without a tick yet shows its counters only."""

    def __init__(self, loop: Callable[[], Loop | None], last: Callable[[], Tick | None]) -> None:
        self._loop = loop
        self._last = last

    def collect(self) -> Iterator[Metric]:
        loop = self._loop()
        if loop is not None:
            yield from _totals(loop)
        tick = self._last()
        if loop is None or tick is None:
            return
        yield from _classes(tick)
        yield from _timed(tick)
        yield from _kernel(loop, tick)
        tier = GaugeMetricFamily("sentinel_data_plane_tier", "1 for the tier in force.", labels=["tier"])
        for each in "ABC":
            tier.add_metric([each], float(each == loop.plane.verdict.tier.value))
        yield tier


def _totals(loop: Loop) -> Iterator[Metric]:
    totals = loop.totals
    yield CounterMetricFamily("sentinel_ticks", "Ticks that were answered.", totals.ticks)
    yield CounterMetricFamily("sentinel_ticks_missed", "Instants of the grid that were skipped.", totals.missed)
    yield CounterMetricFamily("sentinel_ticks_failed", "Ticks that ended with an error.", totals.failed)
    yield CounterMetricFamily("sentinel_forecast_fallbacks", "Ticks on the fallback forecast.", totals.fallbacks)
    yield CounterMetricFamily("sentinel_buffer_resizes", "Limits that were changed.", totals.resized)


def _classes(tick: Tick) -> Iterator[Metric]:
    sample = tick.observed.sample
    limit = GaugeMetricFamily("sentinel_class_limit_bytes", "Bytes a class may hold.", labels=["class"])
    backlog = GaugeMetricFamily("sentinel_class_backlog_bytes", "Bytes waiting in the queue.", labels=["class"])
    sojourn = GaugeMetricFamily(
        "sentinel_class_sojourn_seconds", "Time in the queue over the last tick.", labels=["class", "quantile"]
    )
    measured = sample.has(Valid.SOJOURN)
    for each, name in tick.names.items():
        limit.add_metric([name], tick.chosen.limit_bytes[each])
        backlog.add_metric([name], float(sample.backlog_bytes[each]))
        if measured[each]:
            for quantile, column in (("0.5", "p50"), ("0.95", "p95"), ("0.99", "p99")):
                sojourn.add_metric([name, quantile], float(getattr(sample, f"sojourn_us_{column}")[each]) / 1e6)
    yield from (limit, backlog, sojourn)
    yield GaugeMetricFamily("sentinel_tick_duration_seconds", "Duration of the last tick.", tick.took_ns / 1e9)
    demand = GaugeMetricFamily(
        "sentinel_forecast_bytes_per_second", "Forecast demand of the node.", labels=["horizon", "quantile"]
    )
    expected = tick.forecast.node_demand()
    for values, quantile in ((expected.p50, "0.5"), (expected.p95, "0.95")):
        for value, horizon in zip(values, HORIZONS_S, strict=True):
            demand.add_metric([f"{horizon}s", quantile], float(value))
    yield demand


def _timed(tick: Tick) -> Iterator[Metric]:
    """Their ratio is the share of packets whose time in the queue is known; some kernels withhold tracing at times."""
    sent = CounterMetricFamily("sentinel_class_sent_packets", "Packets that the queue sent.", labels=["class"])
    timed = CounterMetricFamily("sentinel_class_timed_packets", "Of those, how many were timed.", labels=["class"])
    for each, reading in tick.observed.readings.items():
        if each in tick.names and reading.sojourn:
            sent.add_metric([tick.names[each]], reading.sent_packets)
            timed.add_metric([tick.names[each]], sum(reading.sojourn))
    yield from (sent, timed)


def _kernel(loop: Loop, tick: Tick) -> Iterator[Metric]:
    """The counters as the last tick read them: they only grow, so a scrape between two ticks loses nothing."""
    for column, (metric, text) in COUNTERS.items():
        family = CounterMetricFamily(metric, text, labels=["class"])
        for each, name in tick.names.items():
            family.add_metric([name], float(getattr(loop.counters, column)[each]))
        yield family
