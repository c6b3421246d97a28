"""`sentinel size`: from rates, bursts and delays to nodes, pool and memory; sums that anybody can check."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from math import ceil, sqrt
from typing import Any

import click
import yaml

from sentinel_api.errors import Invalid
from sentinel_api.v1alpha1.profiles import PROFILES, ProfileName

RATES = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}
TIMES = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0}
LEAST_NODES, MOST_NODES = 3, 1_000
LEAST_POOL, MOST_POOL = 65_536, 1 << 32
FLOW_BYTES = 300  # of kernel memory for each flow of the table, with its hash
AGENT_BYTES = 150 << 20  # budget of the agent itself
PAGE = 65_536


class Amount(click.ParamType[float]):
    """A number with a unit."""

    def __init__(self, kind: str, units: dict[str, float], suffix: str, example: str) -> None:
        self.name, self._units, self._suffix, self._example = kind, units, suffix, example

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        found = re.fullmatch(rf"([0-9.]+)\s*([a-z]*?)(?:{self._suffix})?", str(value).lower())
        try:
            number = float(found[1]) * self._units[found[2]] if found else -1.0
        except (KeyError, ValueError):
            number = -1.0
        if number <= 0:
            self.fail(f"{value!r} is no {self.name}: write it as {self._example}", param, ctx)
        return number


RATE = Amount("rate", RATES, "bit(?:/s)?|bps", "10G, 2.5Gbit or 800M")
TIME = Amount("time", TIMES, "$^", "200ms or 2s")


@dataclass(frozen=True, slots=True)
class Load:
    """Of the whole cluster; bits per second, and seconds."""

    demand: float
    burst_rate: float
    burst_s: float
    drain: float
    max_delay_s: float
    rtt_s: float
    flows: int
    headroom: float
    profiles: tuple[ProfileName, ...]


@dataclass(frozen=True, slots=True)
class Size:
    """`nodes_for_*` tell which of the two asks for more. Bytes are of one node."""

    nodes: int
    nodes_for_demand: int
    nodes_for_bursts: int
    burst_bytes: int
    burst_delay_ms: float
    floor_bytes: int
    pool_min_bytes: int
    pool_max_bytes: int
    max_flows: int
    node_memory_bytes: int


def sized(load: Load) -> Size:
    """A burst beyond the drain rate is held or lost, under every policy: what is held waits for (held / drain)."""
    for_demand = ceil(load.demand * (1 + load.headroom) / load.drain)
    for_bursts = ceil(load.burst_rate / (load.drain * (1 + load.max_delay_s / load.burst_s)))
    nodes = max(LEAST_NODES, for_demand, for_bursts)
    if nodes > MOST_NODES:
        raise Invalid(f"{nodes} nodes would be needed and {MOST_NODES} are the most: use nodes that drain faster")
    excess = max(0.0, load.burst_rate / nodes - load.drain)
    burst = ceil(excess * load.burst_s / 8)
    floor = sum(PROFILES[name].floor_bytes for name in load.profiles) + _bdp(load, nodes)
    low, high = (_whole(amount) for amount in (floor, floor + burst))
    if high > MOST_POOL:
        raise Invalid(f"a pool of {high} bytes would be needed and {MOST_POOL} is the most: use more or faster nodes")
    flows = min(1_048_576, max(1_024, _power_of_two(2 * load.flows // nodes)))
    return Size(
        nodes, for_demand, for_bursts, burst, 1000 * excess * load.burst_s / load.drain, floor, low, high, flows,
        high + flows * FLOW_BYTES + AGENT_BYTES,
    )  # fmt: skip


def _bdp(load: Load, nodes: int) -> int:
    """Many flows that are not in step need less than one of the same rate."""
    return ceil(load.drain * load.rtt_s / 8 / sqrt(max(1, load.flows // nodes)))


def _whole(amount: float) -> int:
    return max(LEAST_POOL, ceil(amount / PAGE) * PAGE)


def _power_of_two(number: int) -> int:
    return 1 << max(0, number - 1).bit_length()


def spec(load: Load, size: Size) -> dict[str, Any]:
    """What of a BufferCluster follows from it."""
    return {
        "nodes": size.nodes,
        "pool": {"minBytes": size.pool_min_bytes, "maxBytes": size.pool_max_bytes},
        "dataPlane": {"interfaces": [{"rateBitsPerSecond": round(load.drain)}], "maxFlows": size.max_flows},
        "scaling": {
            "min": size.nodes,  # a burst is over before another node is there
            "max": min(MOST_NODES, 2 * size.nodes),
            "nodeCapacityBytesPerSecond": round(load.drain / 8),
            "headroomPercent": round(100 * load.headroom),
        },
    }


def words(load: Load, size: Size) -> tuple[str, ...]:
    mib = 1 << 20
    asks = "bursts" if size.nodes_for_bursts > size.nodes_for_demand else "steady demand"
    if size.nodes == LEAST_NODES > max(size.nodes_for_bursts, size.nodes_for_demand):
        asks = "one that dies and one that is upgraded at the same time"
    burst = (
        f"A burst leaves {size.burst_bytes / mib:.1f} MiB on each node, the last byte of which waits "
        f"{size.burst_delay_ms:.0f} ms (at most {1000 * load.max_delay_s:.0f} were asked for)."
        if size.burst_bytes
        else "A burst does not exceed what the nodes drain: nothing has to be held."
    )
    return (
        f"{size.nodes} nodes, because of {asks}: steady demand alone needs {size.nodes_for_demand}, bursts "
        f"{size.nodes_for_bursts}.",
        burst,
        f"Floors of the classes and of the round trips: {size.floor_bytes / mib:.2f} MiB.",
        f"Memory of a node: {size.node_memory_bytes / mib:.0f} MiB with the agent and {size.max_flows} flows.",
        "Prediction makes no burst smaller: it has the room ready when one begins, and lends it out in between.",
    )


@click.command()
@click.option("--demand", type=RATE, required=True, help="Steady traffic of the whole cluster, bits a second.")
@click.option("--burst-rate", type=RATE, required=True, help="Traffic of the whole cluster in a burst.")
@click.option("--burst", "burst_s", type=TIME, required=True, help="How long a burst lasts.")
@click.option("--drain", type=RATE, required=True, help="What one node passes on to what stands behind it.")
@click.option(
    "--max-delay", "max_delay_s", type=TIME, default="50ms", show_default=True, help="Longest wait in the queue."
)
@click.option("--rtt", "rtt_s", type=TIME, default="10ms", show_default=True, help="Round trip of the flows.")
@click.option("--flows", type=click.IntRange(1, 10**9), default=10_000, show_default=True, help="At the same time.")
@click.option("--headroom", type=click.IntRange(0, 300), default=20, show_default=True, help="Percent kept free.")
@click.option("--profile", "profiles", type=click.Choice(sorted(PROFILES)), multiple=True, help="A class; repeatable.")
@click.option("--json", "as_json", is_flag=True, help="For a program.")
def size(profiles: tuple[ProfileName, ...], headroom: int, flows: int, *, as_json: bool, **amounts: float) -> None:
    """Say how many nodes, how much pool and memory a load needs, and the spec that asks for it.

    \b
    Examples:
      sentinel size --demand 12G --burst-rate 60G --burst 200ms --drain 10G
      sentinel size --demand 2G --burst-rate 8G --burst 1s --drain 1G --max-delay 100ms --profile llm --profile database
    """
    load = Load(flows=flows, headroom=headroom / 100, profiles=profiles, **amounts)
    found = sized(load)
    if as_json:
        click.echo(json.dumps(asdict(found) | {"spec": spec(load, found)}))
        return
    click.echo("\n".join(words(load, found)))
    click.echo("\n" + yaml.safe_dump({"spec": spec(load, found)}, sort_keys=False).rstrip())
