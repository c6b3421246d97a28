"""`sentinel bench cluster`: what three nodes behind the balancer carry and survive, beside one."""

from __future__ import annotations

import os
import threading
import time
from statistics import median
from typing import TYPE_CHECKING, Any, Final

import click

from sentinel_lab.bench.output import tell
from sentinel_lab.bench.speaker import takeovers
from sentinel_lab.failover import bulk, plan
from sentinel_lab.failover.calls import answering
from sentinel_lab.failover.load import DATAGRAM, flows, requests
from sentinel_lab.failover.stage import staged
from sentinel_lab.namespaces import require_root, unwind_when_told
from sentinel_lab.topology import RECEIVER, SENDER

if TYPE_CHECKING:
    from sentinel_lab.failover.stage import Stage

SIZES: Final = (1, 3)
VIPS: Final = (
    {"address": plan.VIP6, "port": plan.STREAM_PORT, "protocol": "UDP"},
    {"address": plan.VIP, "port": plan.BULK_PORT, "protocol": "TCP"},
    {"address": plan.VIP6, "port": plan.BULK_PORT, "protocol": "TCP"},
)
BULKS: Final = 12
"""Connections at once: enough that none of three nodes is without one but once in a hundred times."""
FAMILIES: Final = ("served_v6_bits_per_s", "bulk_v4_bits_per_s", "bulk_v6_bits_per_s")
NODE_BITS: Final = 4_000_000
"""Small, so that the nodes are the bottleneck and not the two processors that all of them share."""
FLOWS: Final = 36
FLOW_APART_S: Final = 0.25
WINDOW_S, QUICK_WINDOW_S = 10.0, 4.0
REQUESTS_A_SECOND: Final = 20.0
PATIENCE_S: Final = 2.0
DOWN_S, UP_S = 3.0, 3.0
FAULTS, QUICK_FAULTS = 6, 2
TAKEOVERS, QUICK_TAKEOVERS = 10, 3


@click.command("cluster")
@click.option("--quick", is_flag=True, help="Shorter, and fewer nodes fail.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def cluster(quick: bool, as_json: bool) -> None:
    """One node and then three behind the balancer: throughput, drops, availability, CPU; and a balancer that dies.

    \b
    Example:
      sudo sentinel bench cluster --json
    """
    require_root()
    unwind_when_told()
    rows: list[dict[str, Any]] = [{"what": "load average, one minute, at the start", "value": os.getloadavg()[0]}]
    for size in SIZES:
        with staged(size, rate_bits=NODE_BITS, vips=VIPS) as stage:
            window_s = QUICK_WINDOW_S if quick else WINDOW_S
            rows.append({"nodes": size} | throughput(stage, window_s) | families(stage, window_s))
        with staged(size) as stage, answering(stage.spaces[RECEIVER]):
            rows[-1] |= availability(stage, QUICK_FAULTS if quick else FAULTS)
        click.echo(f"{time.strftime('%H:%M:%S')} {rows[-1]}", err=True)
    silent_ms = takeovers(QUICK_TAKEOVERS if quick else TAKEOVERS)
    rows.append({"what": "a speaker dies: milliseconds until the next packet", "values": silent_ms})
    rows.append({"what": "load average, one minute, at the end", "value": os.getloadavg()[0]})
    metrics = figures({row["nodes"]: row for row in rows if "nodes" in row})
    metrics |= {"speaker_lost_ms_p50": median(silent_ms), "speaker_lost_ms_max": max(silent_ms)}
    tell("cluster", metrics, rows, as_json=as_json)


def throughput(stage: Stage, window_s: float) -> dict[str, float]:
    """More is offered than three nodes may carry; counted once all flows have begun and found their place."""
    programs = (stage.balancer, *stage.agents.values())
    with flows(stage.spaces[SENDER], stage.spaces[RECEIVER], FLOWS, FLOW_APART_S) as filled:
        time.sleep(FLOWS * FLOW_APART_S + 1.0)
        start, cpu_s, begin = (filled.sent, filled.arrived), _spent(programs), time.monotonic()
        time.sleep(window_s)
        took_s = time.monotonic() - begin
        sent, arrived = filled.sent - start[0], filled.arrived - start[1]
        cpu_s = _spent(programs) - cpu_s
    served = arrived * len(DATAGRAM)
    return {
        "offered_bits_per_s": 8 * sent * len(DATAGRAM) / took_s,
        "served_bits_per_s": 8 * served / took_s,
        "drop_share": 1 - arrived / sent,
        "product_cpu_share_of_a_core": cpu_s / took_s,
        "product_cpu_s_per_gb": cpu_s / (served / 1e9),
    }


def families(stage: Stage, window_s: float) -> dict[str, float]:
    """Datagrams to the address of the other family, and bulk TCP to both."""
    sender, receiver = stage.spaces[SENDER], stage.spaces[RECEIVER]
    with flows(sender, receiver, FLOWS, FLOW_APART_S, plan.VIP6) as filled:
        time.sleep(FLOWS * FLOW_APART_S + 1.0)
        arrived, begin = filled.arrived, time.monotonic()
        time.sleep(window_s)
        served = (filled.arrived - arrived) * len(DATAGRAM) / (time.monotonic() - begin)
    found = {"served_v6_bits_per_s": 8 * served}
    for version, address in ((4, plan.VIP), (6, plan.VIP6)):
        found[f"bulk_v{version}_bits_per_s"] = bulk.carried(sender, receiver, address, BULKS, window_s)
    return found


def availability(stage: Stage, faults: int) -> dict[str, float]:
    """One node after the other loses all its links and its agent, and is started again; requests go on regardless."""
    seconds = faults * (DOWN_S + UP_S)
    failing = threading.Thread(target=_fail, args=(stage, faults), daemon=True)
    failing.start()
    asked, answered = requests(stage.spaces[SENDER], REQUESTS_A_SECOND, seconds, PATIENCE_S)
    failing.join()
    return {
        "requests": asked,
        "answered": answered,
        "availability": answered / asked,
        "faults": faults,
        "seconds": seconds,
    }


def _fail(stage: Stage, faults: int) -> None:
    for turn in range(faults):
        node = stage.nodes[turn % len(stage.nodes)]
        time.sleep(UP_S)
        stage.kill(node)
        time.sleep(DOWN_S)
        stage.revive(node)


def figures(by_size: dict[int, dict[str, Any]]) -> dict[str, float]:
    one, three = (by_size[size] for size in SIZES)
    found = {
        "speedup_3": three["served_bits_per_s"] / one["served_bits_per_s"],
        "availability": three["availability"],
        "availability_1": one["availability"],
    }
    for size, row in by_size.items():
        found[f"drop_share_{size}"] = row["drop_share"]
        found |= {f"{name}_{size}": row[name] for name in FAMILIES}
        found[f"product_cpu_s_per_gb_{size}"] = row["product_cpu_s_per_gb"]
    return found


def _spent(programs: Any) -> float:
    return float(sum(each.cpu_s() for each in programs))
