"""What a rule is, and the sums that are worth keeping: boards of a thousand nodes ask for these, not for each node."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Recording:
    """`record` is named as Prometheus' authors advise: labels that are left, metric, what was done to it."""

    record: str
    expr: str


@dataclass(frozen=True, slots=True)
class Case:
    """Series in promtool's notation, a value a minute, and which alerts (by their labels) stand at `minute`."""

    series: Mapping[str, str]
    minute: int
    fires: tuple[Mapping[str, str], ...] = ()


def both(
    series: dict[str, str], calm: dict[str, str], minute: int, fires: tuple[dict[str, str], ...]
) -> tuple[Case, Case]:
    """The same names with values that make an alert stand, and with good ones."""
    return Case(series, minute, fires), Case(calm, minute)


@dataclass(frozen=True, slots=True)
class Alert:
    """`summary` may name labels as {{ $labels.x }}; `means` and `steps` become the runbook page."""

    name: str
    expr: str
    minutes: int
    severity: Literal["critical", "warning", "info"]
    summary: str
    means: str
    steps: tuple[str, ...]
    cases: tuple[Case, ...]


RECORDINGS = (
    Recording("class:sentinel_class_bytes:rate1m", "sum by (class) (rate(sentinel_class_bytes_total[1m]))"),
    Recording("class:sentinel_class_packets:rate1m", "sum by (class) (rate(sentinel_class_packets_total[1m]))"),
    Recording("class:sentinel_class_drops:rate1m", "sum by (class) (rate(sentinel_class_drops_total[1m]))"),
    Recording("part:sentinel_pool_bytes:sum", "sum by (part) (sentinel_pool_bytes)"),
    Recording(
        "horizon_quantile:sentinel_forecast_bytes_per_second:sum",
        "sum by (horizon, quantile) (sentinel_forecast_bytes_per_second)",
    ),
    Recording(
        "le:sentinel_tick_duration_seconds_bucket:rate5m",
        "sum by (le) (rate(sentinel_tick_duration_seconds_bucket[5m]))",
    ),
    Recording("outcome:sentinel_forecast_judged:sum", "sum by (outcome) (sentinel_forecast_judged)"),
    Recording("reason:sentinel_lb_packets:rate1m", "sum by (reason) (rate(sentinel_lb_packets_total[1m]))"),
    Recording(
        "backend:sentinel_lb_backend_new_flows:rate1m",
        "sum by (backend) (rate(sentinel_lb_backend_new_flows_total[1m]))",
    ),
)
