"""What one look at one agent's `/metrics` shows, as values; two looks make rates."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

SHOWN_HORIZON = "60s"
MEDIAN, MOST = "0.5", "0.95"
"""Quantiles of a forecast."""


@dataclass(slots=True)
class Class:
    """Counters since the programs were loaded, and gauges of the last tick."""

    bytes: float = 0.0
    drops: float = 0.0
    limit: float = 0.0
    backlog: float = 0.0
    p99_s: float | None = None
    severity: float = 0.0


@dataclass(slots=True)
class Node:
    """`error` is why nothing else is known; `at_s` is when it was looked at, on one clock for all."""

    name: str
    at_s: float
    error: str = ""
    classes: dict[tuple[str, str], Class] = field(default_factory=dict)  # (interface, class)
    tiers: dict[str, str] = field(default_factory=dict)  # interface → tier
    trusted: bool = False
    pool: dict[str, float] = field(default_factory=dict)
    forecast: dict[str, dict[str, float]] = field(default_factory=dict)  # horizon → quantile → bytes per second
    orders: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Line:
    """A class of a node as it is shown; rates are over the time between two looks."""

    node: str
    interface: str
    name: str
    tier: str
    bytes_per_s: float
    drops_per_s: float
    limit: float
    backlog: float
    p99_s: float | None
    severity: float

    @property
    def fill(self) -> float:
        return min(1.0, self.backlog / self.limit) if self.limit else 0.0


def parsed(name: str, at_s: float, text: str) -> Node:
    """Unknown metrics and labels are passed over: the agent may be newer or older."""
    node = Node(name, at_s)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            _take(node, sample.name, sample.labels, sample.value)
    return node


_GAUGES = {
    "sentinel_class_bytes_total": "bytes",
    "sentinel_class_drops_total": "drops",
    "sentinel_class_limit_bytes": "limit",
    "sentinel_class_backlog_bytes": "backlog",
    "sentinel_class_severity": "severity",
}


def _take(node: Node, metric: str, labels: Mapping[str, str], value: float) -> None:
    interface, name = labels.get("interface", ""), labels.get("class", "")
    if metric in _GAUGES:
        setattr(node.classes.setdefault((interface, name), Class()), _GAUGES[metric], value)
    elif metric == "sentinel_class_sojourn_seconds" and labels.get("quantile") == "0.99":
        node.classes.setdefault((interface, name), Class()).p99_s = value
    elif metric == "sentinel_data_plane_tier" and value == 1:
        node.tiers[interface] = labels.get("tier", "?")
    elif metric == "sentinel_forecast_trusted":
        node.trusted = node.trusted or value == 1
    elif metric == "sentinel_pool_bytes":
        node.pool[labels.get("part", "")] = value
    elif metric == "sentinel_forecast_bytes_per_second":
        node.forecast.setdefault(labels.get("horizon", ""), {})[labels.get("quantile", "")] = value


def expected(node: Node, quantile: str) -> list[float]:
    """At each horizon that it tells of, the nearest first; nothing of an agent that does not forecast."""
    told = {horizon: each[quantile] for horizon, each in node.forecast.items() if quantile in each}
    return [told[horizon] for horizon in sorted(told, key=lambda text: (len(text), text))]


def lines(before: Node | None, now: Node) -> tuple[Line, ...]:
    """Without an earlier look, or after a restart, rates are zero for one look."""
    return tuple(_line(now, key, each, before) for key, each in sorted(now.classes.items()))


def _line(now: Node, key: tuple[str, str], each: Class, before: Node | None) -> Line:
    old = before.classes.get(key) if before else None
    seconds = now.at_s - before.at_s if before else 0.0
    return Line(
        now.name, *key, now.tiers.get(key[0], "?"),
        bytes_per_s=_rate(each.bytes, old.bytes if old else None, seconds),
        drops_per_s=_rate(each.drops, old.drops if old else None, seconds),
        limit=each.limit, backlog=each.backlog, p99_s=each.p99_s, severity=each.severity,
    )  # fmt: skip


def _rate(now: float, before: float | None, seconds: float) -> float:
    return max(0.0, now - before) / seconds if before is not None and seconds > 0 else 0.0


ORDERS: Mapping[str, tuple[str, Callable[[Line], Any]]] = {
    "t": ("traffic", lambda line: -line.bytes_per_s),
    "d": ("drops", lambda line: -line.drops_per_s),
    "r": ("fullest", lambda line: -line.fill),
    "p": ("slowest", lambda line: -(line.p99_s or 0.0)),
    "n": ("name", lambda line: (line.node, line.interface, line.name)),
}


def ordered(shown: Iterable[Line], key: str, wanted: str = "") -> list[Line]:
    """`wanted`: text that a node's or a class's name must hold."""
    kept = [line for line in shown if wanted in line.node or wanted in line.name]
    return sorted(kept, key=lambda line: (ORDERS[key][1](line), line.node, line.interface, line.name))
