"""OTLP over HTTP as JSON: the families as gauges, cumulative sums and histograms of one resource, this node."""

from __future__ import annotations

import json
import math
import time
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from prometheus_client.core import Metric
    from prometheus_client.samples import Sample

CUMULATIVE: Final = 2
STARTED_NS: Final = time.time_ns()
UNITS: Final = {"seconds": "s", "bytes": "By", "bytes_per_second": "By/s"}


def request(families: Iterable[Metric], node: str, at_ns: int) -> bytes:
    metrics = [_metric(family, at_ns) for family in families if family.samples]
    resource = {"attributes": _attributes({"service.name": "sentinel-agent", "host.name": node})}
    scope = {"scope": {"name": "sentinel"}, "metrics": metrics}
    return json.dumps({"resourceMetrics": [{"resource": resource, "scopeMetrics": [scope]}]}).encode()


def _metric(family: Metric, at_ns: int) -> dict[str, Any]:
    told: dict[str, Any] = {"name": family.name, "description": family.documentation, "unit": _unit(family.name)}
    if family.type == "histogram":
        return told | {"histogram": {"aggregationTemporality": CUMULATIVE, "dataPoints": _spreads(family, at_ns)}}
    points = [_point(sample, at_ns) for sample in family.samples if math.isfinite(sample.value)]
    if family.type == "counter":
        told_sum = {"aggregationTemporality": CUMULATIVE, "isMonotonic": True, "dataPoints": points}
        return told | {"sum": told_sum}
    return told | {"gauge": {"dataPoints": points}}


def _point(sample: Sample, at_ns: int) -> dict[str, Any]:
    """64-bit integers are strings in the JSON of protocol buffers."""
    return {
        "asDouble": float(sample.value),
        "startTimeUnixNano": str(STARTED_NS),
        "timeUnixNano": str(at_ns),
        "attributes": _attributes(sample.labels),
    }


def _spreads(family: Metric, at_ns: int) -> list[dict[str, Any]]:
    """One for each set of labels."""
    together: dict[tuple[tuple[str, str], ...], list[Sample]] = {}
    for each in family.samples:
        labels = tuple((name, value) for name, value in each.labels.items() if name != "le")
        together.setdefault(labels, []).append(each)
    return [_spread(samples, at_ns) | {"attributes": _attributes(dict(of))} for of, samples in together.items()]


def _spread(samples: Sequence[Sample], at_ns: int) -> dict[str, Any]:
    """OTLP counts each bucket alone, Prometheus all up to it."""
    upto = [(each.labels["le"], int(each.value)) for each in samples if each.name.endswith("_bucket")]
    counts = [count - before for (_, count), before in zip(upto, [0, *(n for _, n in upto)], strict=False)]
    total = next(each.value for each in samples if each.name.endswith("_sum"))
    return {
        "startTimeUnixNano": str(STARTED_NS),
        "timeUnixNano": str(at_ns),
        "count": str(upto[-1][1]),
        "sum": float(total),
        "bucketCounts": [str(count) for count in counts],
        "explicitBounds": [float(bound) for bound, _ in upto if bound != "+Inf"],
    }


def _attributes(labels: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"key": name, "value": {"stringValue": value}} for name, value in labels.items()]


def _unit(name: str) -> str:
    return next((unit for ending, unit in UNITS.items() if name.endswith(ending)), "1")
