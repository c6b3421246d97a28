"""Where metrics go beside Prometheus, by setting: one line a sink, encoded from the same families that are scraped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sentinel_agent.sinks import influx, otlp
from sentinel_agent.sinks.sink import Sink, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from prometheus_client.core import Metric

    from sentinel_agent.settings import SinkSettings


def chosen(settings: SinkSettings, node: str, collect: Callable[[], Iterable[Metric]]) -> tuple[Sink, ...]:
    """Those that the settings name, not started yet."""
    made = []
    if settings.influx_url:
        target = Target(settings.influx_url, influx.headers(settings.influx_token_file))
        made.append(Sink("influx", target, lambda at_ns: influx.lines(collect(), node, at_ns), settings.every_s))
    if settings.otlp_url:
        target = Target(settings.otlp_url, {"Content-Type": "application/json"})
        made.append(Sink("otlp", target, lambda at_ns: otlp.request(collect(), node, at_ns), settings.every_s))
    return tuple(made)
