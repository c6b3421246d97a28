"""What so many nodes would expose, without the nodes: names and labels are those of agents, balancers, operators."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Final

from sentinel_agent.described import FAMILIES
from sentinel_agent.sojourn import TOLD_OCTAVES
from sentinel_agent.timing import BOUNDS_S

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sentinel_agent.described import Described

CLASSES: Final = ("unmatched", "chat", "orders", "bulk")
VALUES: Final = {
    "interface": ("eth0",), "class": CLASSES, "quantile": ("0.5", "0.95", "0.99"), "tier": ("A", "B", "C"),
    "horizon": ("30s", "60s", "120s", "300s"), "part": ("total", "granted", "lent", "held"), "sink": (),
    "level": ("alive", "suspected", "headless", "dead"), "outcome": ("hits", "misses", "false_alarms"),
    "reason": ("garbage",), "rule": ("ordered", "reactive", "static"), "stage": ("observe", "predict", "decide", "act"),
    "sign": ("slope", "syn_growth", "pressure", "alarm"),
}  # fmt: skip
BALANCERS, VIPS = 4, 20
DRAINING: Final = "node-0000"
"""Ten begin so."""
STATES: Final = ("ready", "busy", "draining", "dead")
REASONS: Final = ("known", "by_room", "by_ring", "none_alive")
CLUSTERS: Final = 20
SCALING: Final = (
    "target_nodes", "required_nodes", "reactive_nodes", "demand_p95_bytes_per_second", "coverage_percent",
    "correlation",
)  # fmt: skip
WAITS_S: Final = tuple(str((1 << octave) / 1e6) for octave in TOLD_OCTAVES)

NOW: Final = "@"
GROWING: Final = {
    f"sentinel_{each}_total"
    for each in (
        "ticks",
        "class_packets",
        "class_bytes",
        "lb_ticks",
        "lb_backend_new_flows",
        "lb_backend_bytes",
        "lb_vip_bytes",
        "operator_looks",
        "operator_requests",
    )
}
NEVER: Final = {"sentinel_mesh_certificate_stale"}

Series = tuple[str, tuple[str, ...]]
"""A family's name and the labels of each of its series, as they are written."""


def exposition(nodes: int) -> Iterator[str]:
    """A line a series, as if one target spoke for all of a calm cluster; NOW stands where a counter grows."""
    for name, series in (*_agents(nodes), *_balancers(nodes), *_operators()):
        for labels in series:
            yield f"{name}{{{labels}}} {_value(name, labels)}\n"


def _value(name: str, labels: str) -> str:
    """Such that no alert stands: thousands that do would be what is measured."""
    if name in GROWING and "Transient" not in labels:
        return NOW
    if name == "sentinel_lb_backend_state":
        return "1" if ('state="draining"' if f'backend="{DRAINING}' in labels else 'state="ready"') in labels else "0"
    if name in NEVER:
        return "0"
    if name == "sentinel_scaling_coverage_percent":
        return "100"
    return "100" if 'part="total"' in labels else "1"


def _agents(nodes: int) -> Iterator[Series]:
    instances = [f'job="agent",instance="node-{number:05}:9465"' for number in range(nodes)]
    for family in FAMILIES.values():
        name = f"{family.name}_bucket" if family.kind == "histogram" else family.exposed
        yield name, tuple(f"{each},{more}".rstrip(",") for each, more in product(instances, _labels(family)))


def _labels(family: Described) -> list[str]:
    names, values = family.labels, [VALUES[label] for label in family.labels]
    if family.kind == "histogram":
        bounds = WAITS_S if family.labels else tuple(map(str, BOUNDS_S))
        names, values = (*names, "le"), [*values, (*bounds, "+Inf")]
    return _written(names, *values)


def _written(names: Sequence[str], *values: Sequence[str]) -> list[str]:
    """Every combination of the labels' values."""
    return [",".join(f'{name}="{value}"' for name, value in zip(names, each, strict=True)) for each in product(*values)]


def _balancers(nodes: int) -> Iterator[Series]:
    backends = [f'backend="node-{number:05}"' for number in range(nodes)]
    vips, reasons = [f'vip="vip-{number}"' for number in range(VIPS)], [f'reason="{each}"' for each in REASONS]
    states = [f'{each},state="{state}"' for each, state in product(backends, STATES)]
    of: dict[str, list[str]] = {
        "sentinel_lb_ticks_total": [""], "sentinel_lb_tick_duration_seconds": [""], "sentinel_lb_backend_state": states,
        "sentinel_lb_announced_addresses": [""], "sentinel_lb_packets_total": reasons,
        "sentinel_lb_backend_new_flows_total": backends, "sentinel_lb_backend_bytes_total": backends,
        "sentinel_lb_vip_bytes_total": vips, "sentinel_lb_vip_refused_total": vips,
        "sentinel_lb_probes_sent_total": [""], "sentinel_lb_probes_late_total": [""],
    }  # fmt: skip
    own = [f'job="balancer",instance="edge-{number}:9467"' for number in range(BALANCERS)]
    for name, labels in of.items():
        yield name, tuple(f"{each},{more}".rstrip(",") for each, more in product(own, labels))


def _operators() -> Iterator[Series]:
    """Two replicas look at some clusters; only the leader thinks about their size."""
    clusters = _written(("namespace", "cluster"), ("shop",), [f"front-{number:02}" for number in range(CLUSTERS)])
    changes = _written(("reason", "direction"), ("Forecast", "Reactive", "Calm"), ("out", "in"))
    of: dict[str, list[str]] = {f"sentinel_scaling_{each}": clusters for each in SCALING}
    of["sentinel_scaling_decisions_total"] = [f"{cluster},{change}" for cluster, change in product(clusters, changes)]
    leading = 'job="sentinel-operator",instance="operator-0:8080"'
    for name, labels in of.items():
        yield name, tuple(f"{leading},{more}" for more in labels)
    yield (
        "sentinel_operator_looks_total",
        tuple(f"{leading},{each}" for each in _written(("outcome",), ("ok", "Transient"))),
    )
    both = _written(("job", "instance"), ("sentinel-operator",), ("operator-0:8080", "operator-1:8080"))
    verbs = _written(("verb",), ("get", "patch", "post", "delete"))
    yield "sentinel_operator_requests_total", tuple(f"{each},{verb}" for each, verb in product(both, verbs))
    for name in ("sentinel_operator_leading", "process_cpu_seconds_total", "process_resident_memory_bytes"):
        yield name, tuple(both)


def series_a_class() -> int:
    """Of one agent and interface."""
    mine = [family for family in FAMILIES.values() if "class" in family.labels]
    return sum(len(_labels(family)) for family in mine) // len(CLASSES)
