"""What so many nodes would expose, without the nodes: names and labels are those of agents and balancers."""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING, Final

from sentinel_agent.described import FAMILIES
from sentinel_agent.timing import BOUNDS_S

if TYPE_CHECKING:
    from collections.abc import Iterator

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
STATES: Final = ("ready", "busy", "draining", "dead")
REASONS: Final = ("known", "by_room", "by_ring", "refused")

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
    )
}
NEVER: Final = {"sentinel_mesh_certificate_stale"}

Series = tuple[str, tuple[str, ...]]
"""A family's name and the labels of each of its series, as they are written."""


def exposition(nodes: int) -> Iterator[str]:
    """A line a series, as if one target spoke for all of a calm cluster; NOW stands where a counter grows."""
    for name, series in (*_agents(nodes), *_balancers(nodes)):
        for labels in series:
            yield f"{name}{{{labels}}} {_value(name, labels)}\n"


def _value(name: str, labels: str) -> str:
    """Such that no alert stands: thousands that do would be what is measured."""
    if name in GROWING:
        return NOW
    if name in NEVER or (name == "sentinel_lb_backend_state" and 'state="ready"' not in labels):
        return "0"
    return "100" if 'part="total"' in labels else "1"


def _agents(nodes: int) -> Iterator[Series]:
    instances = [f'job="agent",instance="node-{number:05}:9465"' for number in range(nodes)]
    for family in FAMILIES.values():
        name = f"{family.name}_bucket" if family.kind == "histogram" else family.exposed
        yield name, tuple(f"{each},{more}".rstrip(",") for each, more in product(instances, _labels(family)))


def _labels(family: Described) -> list[str]:
    if family.kind == "histogram":
        return [f'le="{bound}"' for bound in (*BOUNDS_S, "+Inf")]
    every = product(*(VALUES[label] for label in family.labels))
    return [",".join(f'{k}="{v}"' for k, v in zip(family.labels, values, strict=True)) for values in every]


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
