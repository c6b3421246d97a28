"""`sentinel report --what-if`: what agents that only observe would have done, from the queues that they imagine."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final

import click
from prometheus_client.parser import text_string_to_metric_families

from sentinel_api.errors import Transient
from sentinel_cli.top import ask

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

RULES: Final = ("static", "reactive", "ordered")
WORDS: Final = {"static": "fixed floors", "reactive": "reactive rule", "ordered": "Sentinel's orders"}
ESTIMATED: Final = (
    "Measured: what arrived, and the orders. Estimated: waiting and drops, from queues that the agent imagines with "
    "what arrived in each 100 ms at the rate in its configuration. They do not see bursts within 100 ms, nor senders "
    "that slow down when they lose or are marked; rules without foresight are asked beside the orders, not run alone."
)


@dataclass(slots=True)
class Class:
    arrived_bytes: float = 0.0
    dropped_bytes: dict[str, float] = field(default_factory=dict)
    peak_bytes: dict[str, float] = field(default_factory=dict)

    @property
    def avoided_bytes(self) -> float:
        """Against floors alone; negative where the orders would have dropped more."""
        return self.dropped_bytes.get("static", 0.0) - self.dropped_bytes.get("ordered", 0.0)


@dataclass(slots=True)
class Imagined:
    """Of one node. `judged`: bursts and alarms by how they ended, of the window that is scored."""

    name: str
    error: str = ""
    seconds: float = 0.0
    resized: float = 0.0
    trusted: bool = False
    judged: dict[str, float] = field(default_factory=dict)
    classes: dict[str, Class] = field(default_factory=dict)


def report(wanted: Sequence[str], as_json: bool) -> None:
    nodes = [_asked(name, address) for name, address in ask.targets(wanted)]
    if as_json:
        click.echo(json.dumps({"nodes": [told(node) for node in nodes], "estimated": ESTIMATED}))
    else:
        click.echo("\n".join(line for node in nodes for line in lines(node)))
        click.echo(f"\n{ESTIMATED}")
    if all(node.error for node in nodes):
        raise Transient(
            "no agent tells what would have been: name one that only observes (sentinel report --what-if HOST)"
        )


def _asked(name: str, address: str) -> Imagined:
    try:
        return parsed(name, ask.got(f"http://{address}/metrics").decode())
    except (OSError, ValueError) as error:
        return Imagined(name, ask.why(error))


def parsed(name: str, text: str) -> Imagined:
    """Says what is missing where an agent enforces, has no rate, or is older than these metrics."""
    node, known = Imagined(name), False
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            known = known or sample.name == "sentinel_shadow_seconds_total"
            _take(node, sample.name, sample.labels, sample.value)
    if not known:
        node.error = "tells nothing of what would have been: it is no agent, or an older one"
    elif not node.classes:
        node.error = (
            "imagines nothing: it enforces, or its interfaces have no rate "
            "(dataPlane: {mode: Observe, interfaces: [{rateBitsPerSecond: …}]})"
        )
    return node


def _take(node: Imagined, metric: str, labels: dict[str, str], value: float) -> None:
    subject = f"{labels.get('class', '')} on {labels.get('interface', '')}"
    if metric.startswith("sentinel_shadow_") and "class" in labels:
        node.classes.setdefault(subject, Class())
    if metric == "sentinel_shadow_seconds_total":
        node.seconds = value
    elif metric == "sentinel_shadow_arrived_bytes_total":
        node.classes[subject].arrived_bytes = value
    elif metric == "sentinel_shadow_dropped_bytes_total":
        node.classes[subject].dropped_bytes[labels["rule"]] = value
    elif metric == "sentinel_shadow_peak_bytes":
        node.classes[subject].peak_bytes[labels["rule"]] = value
    elif metric == "sentinel_buffer_resizes_total":
        node.resized = value
    elif metric == "sentinel_forecast_trusted":
        node.trusted = node.trusted or value == 1
    elif metric == "sentinel_forecast_judged":
        outcome = labels.get("outcome", "")
        node.judged[outcome] = node.judged.get(outcome, 0.0) + value


def told(node: Imagined) -> dict[str, Any]:
    return asdict(node) | {
        "classes": {name: asdict(each) | {"avoided_bytes": each.avoided_bytes} for name, each in node.classes.items()}
    }


def lines(node: Imagined) -> Iterator[str]:
    if node.error:
        yield f"{node.name}: {node.error}"
        return
    yield f"{node.name}: only observed for {_time(node.seconds)}; limits would have moved {node.resized:.0f} times."
    yield f"  {_foresight(node)}"
    for name, each in sorted(node.classes.items()):
        if not each.arrived_bytes:
            yield f"  {name}: nothing arrived."
            continue
        yield f"  {name}: {_size(each.arrived_bytes)} arrived."
        for rule in RULES:
            dropped, peak = each.dropped_bytes.get(rule, 0.0), each.peak_bytes.get(rule, 0.0)
            share = 100 * dropped / each.arrived_bytes
            yield f"    {WORDS[rule] + ':':20} {_size(dropped)} dropped ({share:.2f} %), at most {_size(peak)} waiting"
        yield f"    {_verdict(each)}"


def _foresight(node: Imagined) -> str:
    hits, misses, false = (node.judged.get(each, 0.0) for each in ("hits", "misses", "false_alarms"))
    acted = "forecasts would be acted on" if node.trusted else "forecasts would not be acted on yet"
    return f"Of {hits + misses:.0f} bursts it foresaw {hits:.0f}, with {false:.0f} false alarms; {acted}."


def _verdict(each: Class) -> str:
    if each.avoided_bytes > 0:
        return f"Orders would have avoided {_size(each.avoided_bytes)} of drops against fixed floors."
    if each.avoided_bytes < 0:
        return f"Orders would have cost {_size(-each.avoided_bytes)} more drops than fixed floors."
    return "Orders would have changed nothing about drops."


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _size(amount: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024 or unit == "GiB":
            break
        amount /= 1024
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
