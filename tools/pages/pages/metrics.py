"""docs/reference/metrics.md: every metric of agent, balancer and operator, from what makes it when Prometheus asks."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from importlib import import_module
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, cast

import numpy as np
from prometheus_client import REGISTRY

from pages.markdown import head, table
from sentinel_agent.described import FAMILIES
from sentinel_agent.timing import STAGES
from sentinel_api.records import HORIZONS_S
from sentinel_core.precursor import WEIGHTS
from sentinel_core.shadow import RULES
from sentinel_lb.decide.checkup import Health
from sentinel_lb.decide.weights import State
from sentinel_lb.report import BalancerCollector

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

OBJECT: Final = "bpf/build/lb.bpf.o"
REASONS: Final = 256  # more than there are
UNITS: Final = {
    "_bytes_per_second": "bytes/s", "_seconds": "s", "_bytes": "bytes", "_percent": "%", "_left": "0 to 1",
    "_correlation": "0 to 1", "_severity": "0 to 1", "_sign": "0 to 1", "_share": "0 to 1", "_brier": "0 to 1",
}  # fmt: skip
"""By how a name ends, `_total` apart; whatever else is a number of something, or 0 and 1."""


@dataclass(frozen=True, slots=True)
class Metric:
    name: str
    kind: str
    labels: Sequence[str]
    text: str

    @property
    def exposed(self) -> str:
        return f"{self.name}_total" if self.kind == "counter" else self.name

    @property
    def unit(self) -> str:
        return next((unit for ending, unit in UNITS.items() if self.name.endswith(ending)), "")


def _code(values: Iterable[str]) -> str:
    return ", ".join(f"`{each}`" for each in values)


AGENT_LABELS: Final = {
    "class": "names of the traffic classes, and `unmatched`; 16 at most",
    "horizon": _code(f"{each}s" for each in HORIZONS_S),
    "interface": "names of the buffered interfaces; 8 at most",
    "level": "how far a node of the mesh is believed to live",
    "outcome": _code(("hits", "misses", "false_alarms")),
    "part": "`total`, `granted`, `lent` (part of granted), `held` (by packets that wait)",
    "quantile": _code(("0.5", "0.95", "0.99")),
    "reason": "why a record of the mesh was not believed",
    "rule": "`ordered` (what the agent chose), `reactive`, `static` (the floors alone)",
    "sign": _code(WEIGHTS),
    "sink": _code(("influx", "otlp")),
    "stage": _code(STAGES),
    "tier": "`A` (BPF queue), `B` (HTB), `C` (observes only)",
}
BALANCER_LABELS: Final = {
    "backend": "names of the nodes that it sends to",
    "health": _code(each.value for each in Health),
    "state": _code(each.value for each in State),
    "vip": "`ADDRESS PORT/PROTOCOL`, the protocol as its number",
    "zone": "names of the zones whose routers it hears",
}
OPERATOR_LABELS: Final = {
    "answer": _code(("approved", "denied", "failed")),
    "cluster": "name of the BufferCluster",
    "direction": _code(("out", "in")),
    "namespace": "namespace of the BufferCluster",
    "outcome": "`ok`, or of which kind the error was: `Invalid`, `Transient`, `Unsupported`, `Broken`",
    "reason": "why the number was changed, a word as in the conditions",
    "verb": "the request's HTTP method, small",
}
assert set(RULES) == {"ordered", "reactive", "static"}, "say above what each rule is"

PAGE: Final = """\
{head}
Base units are seconds and bytes; a metric without a unit counts something, or is 1 where something is so and 0 where
not. What could not be measured is absent, never zero. The number of series is bounded by the labels below: no address
of a client, no flow and no port is ever one.

## The agent

At `http://NODE:9465/metrics` (`SENTINEL_LISTEN`, `SENTINEL_METRICS_PORT`), made from the last tick when somebody asks.

{agent}
InfluxDB and OTLP get the same under the same names when `SENTINEL_INFLUX_URL` or `SENTINEL_OTLP_ENDPOINT` is set
([how](../how-to/bare-machine.md)). OTLP counts a histogram's buckets one by one, and names counters without `_total`.

## The balancer

At `http://NODE:9467/metrics` of edge nodes, made from the last tick and the kernel's counters when somebody asks.

{balancer}
## The operator

At `http://POD:8080/metrics` of each replica; only the one that holds the Lease decides, so only it tells of clusters.
Python's own `process_…` and `python_…` are there, too.

{operator}"""


def page(root: Path) -> str:
    balancer, reasons = _balancer(root)
    return PAGE.format(
        head=head("Metrics"),
        agent=_section(_agent(), AGENT_LABELS),
        balancer=_section(balancer, BALANCER_LABELS | {"reason": _code(reasons)}),
        operator=_section(_operator(), OPERATOR_LABELS),
    )


def _section(found: Sequence[Metric], words: Mapping[str, str]) -> str:
    used = sorted({label for each in found for label in each.labels})
    unexplained = [label for label in used if label not in words]
    assert not unexplained, f"say in tools/pages/pages/metrics.py what the label {', '.join(unexplained)} tells"
    rows = (
        (f"`{each.exposed}`", each.kind, each.unit, _code(each.labels), each.text)
        for each in sorted(found, key=lambda each: each.name)
    )
    labels = table(("label", "values"), ((f"`{label}`", words[label]) for label in used))
    return f"{table(('metric', 'kind', 'unit', 'labels', 'meaning'), rows)}\n{labels}"


def _agent() -> list[Metric]:
    return [Metric(each.name, each.kind, each.labels, each.text) for each in FAMILIES.values()]


def _operator() -> list[Metric]:
    """What the program has registered once all of it is loaded."""
    import_module("sentinel_operator.__main__")
    made: set[Any] = {each for name, each in REGISTRY._names_to_collectors.items() if name.startswith("sentinel_")}
    return [Metric(each._name, each._type, each._labelnames, each._documentation) for each in made]


def _balancer(root: Path) -> tuple[list[Metric], list[str]]:
    """What the exporter says of a balancer without nodes and addresses; and what can become of a packet, each once."""
    built = root / OBJECT
    assert built.exists(), f"{OBJECT} names what becomes of packets: build it by `make bpf`"
    ones: Any = defaultdict(lambda: np.ones((1, REASONS)))
    plane = SimpleNamespace(
        place=SimpleNamespace(object_path=built), cells=lambda _: ones, tables=SimpleNamespace(vips=dict)
    )
    tick = SimpleNamespace(took_ns=0, announced=(), standings=(), world=SimpleNamespace(zones={}))
    totals = SimpleNamespace(ticks=0, missed=0, failed=0)
    loop = SimpleNamespace(totals=totals, last=tick, hands=SimpleNamespace(spared={}))
    prober, checkup = SimpleNamespace(sent=0, late=0), SimpleNamespace(health={})
    found = list(BalancerCollector(lambda: cast("Any", loop), *cast("Any", (plane, prober, checkup))).collect())
    reasons = [sample.labels["reason"] for each in found for sample in each.samples if "reason" in sample.labels]
    metrics = [Metric(each.name, each.type, cast("Any", each)._labelnames, each.documentation) for each in found]
    return metrics, list(dict.fromkeys(reasons))
