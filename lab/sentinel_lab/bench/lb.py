"""`sentinel bench lb`: nanoseconds a packet of the balancer, what its control plane costs, and what a change breaks."""

from __future__ import annotations

import os
import time
from statistics import median
from typing import TYPE_CHECKING, Final

import click
import numpy as np

from sentinel_api.errors import Transient
from sentinel_api.v1alpha1.balancerconfig import BackendSpec
from sentinel_lab.bench import bpf_frames, bpf_loop, lb_live, lb_loop, lb_parts
from sentinel_lab.bench.lb_loop import LB_OBJECT, NODES, OPENING, VIP, XDP_TX, Kind
from sentinel_lab.bench.output import tell
from sentinel_lab.namespaces import require_root
from sentinel_lb.act.tables import Address, Tables, load_balancer
from sentinel_lb.decide import seats, states, weights
from sentinel_lb.decide.ring import Member, pairs
from sentinel_mesh.membership import Probe

if TYPE_CHECKING:
    from collections.abc import Mapping

ROUNDS, QUICK_ROUNDS = 20, 6
LOADS, QUICK_LOADS = 5, 3
"""The same program loaded again lies elsewhere in memory, and its tables too: that alone moves a figure by a tenth."""
ENDLESS = 1 << 19  # flows that come round again only when the table has long forgotten them
SMALL_TABLE = 65_536
BACKENDS: Final = 1000
MEMBERS: Final = 100
GROW: Final = "one header on and off"

KINDS: Final = {
    "ns_known_tcp_1": Kind("known TCP", bpf_frames.PLAIN4, 1),
    "ns_known_tcp_4k": Kind("known TCP", bpf_frames.PLAIN4, 4096),
    "ns_known_tcp_64k": Kind("known TCP", bpf_frames.PLAIN4, 65_536),
    "ns_known_udp_4k": Kind("known UDP", bpf_frames.DATAGRAM4, 4096),
    "ns_new_tcp": Kind("new TCP", OPENING, ENDLESS, table=SMALL_TABLE),
    "ns_new_tcp_plain_maglev": Kind(
        "new TCP, nobody tells of room", OPENING, ENDLESS, readiness=False, table=SMALL_TABLE
    ),
    # These enter the table, which has to let go of another for each; a connection does so with its second packet.
    "ns_new_udp": Kind("new UDP", bpf_frames.DATAGRAM4, ENDLESS, table=SMALL_TABLE),
    "ns_midstream_tcp": Kind("TCP, met in the middle", bpf_frames.PLAIN4, ENDLESS, table=SMALL_TABLE, known=False),
    "ns_syn_flood": Kind("SYN flood", OPENING, 65_536, remembers=False),
}

Row = dict[str, float | str]


@click.command()
@click.option("--quick", is_flag=True, help="Fewer rounds.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def lb(quick: bool, as_json: bool) -> None:
    """Time the balancer's XDP program on one core, its rings, its tick over a thousand nodes, and the kernel's own way.

    \b
    Example:
      sudo sentinel bench lb --json
    """
    require_root()
    rows: list[Row] = [{"what": "load average, one minute, at the start", "value": os.getloadavg()[0]}]
    metrics: dict[str, float] = {}
    with bpf_loop.undisturbed():
        for name, kind in KINDS.items():
            click.echo(f"{time.strftime('%H:%M:%S')} {kind.name}, {kind.flows} flows", err=True)
            rounds, loads = (QUICK_ROUNDS, QUICK_LOADS) if quick else (ROUNDS, LOADS)
            figure, row = over_loads(kind, loads, rounds // loads)
            metrics[name], metrics[f"{name}_quiet"] = figure["p50"], figure["quiet"]
            rows.append(row)
        metrics |= lb_parts.parts(QUICK_ROUNDS if quick else ROUNDS)
        metrics |= control_plane()
        metrics |= lb_live.against_the_kernel(QUICK_ROUNDS if quick else ROUNDS)
        metrics |= lb_live.flooded(QUICK_ROUNDS if quick else ROUNDS)
    metrics |= disruption()
    rows.append({"what": "load average, one minute, at the end", "value": os.getloadavg()[0]})
    tell("lb", metrics, rows, as_json=as_json)


def over_loads(kind: Kind, loads: int, rounds: int) -> tuple[Mapping[str, float], Row]:
    """The medians over several loads of the program; the row says how far these were apart."""
    found = [timed(kind, rounds) for _ in range(loads)]
    figure = {name: median(each[name] for each, _ in found) for name in found[0][0]}
    p50 = [each["p50"] for each, _ in found]
    return figure, found[-1][1] | figure | {"loads": loads, "p50 least": min(p50), "p50 most": max(p50)}


def timed(kind: Kind, rounds: int) -> tuple[Mapping[str, float], Row]:
    """The loop itself is subtracted, and so is taking off the header again before each next packet."""
    with lb_loop.loop_over(kind.frame) as loop, lb_loop.balancer(kind) as balancer:
        against = [
            bpf_loop.Target(bpf_loop.HARNESS, None, bpf_loop.XDP_PASS),
            bpf_loop.Target(GROW, loop.loaded.program("sn_bench_grow").descriptor, XDP_TX),
            bpf_loop.Target(kind.name, balancer.program("sn_balance").descriptor, XDP_TX),
        ]
        if kind.known:
            loop.once(against[-1], kind.flows)
            lb_loop.end_doubt(balancer)
        found = bpf_loop.measured(loop, against, kind.flows, rounds)
        ways = lb_loop.reasons(balancer, lb_loop.reason_names())
    taken_off = found[GROW].p50 / 2
    mine = found[kind.name]
    figure = {"p50": mine.p50 - taken_off, "p99": mine.p99 - taken_off, "quiet": mine.quiet - taken_off}
    usual = max(ways, key=lambda name: ways[name])
    row: Row = {
        "what": "in-BPF loop, ns a packet",
        "kind": kind.name,
        "flows": kind.flows,
        "usual way": usual,
        **figure,
    }
    return figure, row


def control_plane() -> dict[str, float]:
    """Rings from nothing, and one tick's judgement and writing for a thousand nodes."""
    found = {}
    for count in (MEMBERS, BACKENDS):
        members = [Member(f"node-{n}", n) for n in range(count)]
        found[f"ring_ms_{count}"] = median(_seconds(lambda m=members: pairs(m)) for _ in range(3)) * 1e3
    specs = [BackendSpec(name=f"node-{n}", address=f"10.{n >> 8}.{n & 255}.1") for n in range(BACKENDS)]
    seated = seats.seated({}, specs, {}, 0)
    with load_balancer(LB_OBJECT) as loaded:
        tables = Tables(loaded)

        def tick() -> None:
            now_ns = time.monotonic_ns()
            seen = states.Evidence(probe=Probe.GOOD)
            standings = [states.standing(seat, seen, now_ns) for seat in seated.values()]
            weights.route([_with_room(each) for each in standings], range(bpf_loop.CLASSES))
            tables.tell(standings)

        found["tick_ms_1000"] = median(_seconds(tick) for _ in range(10)) * 1e3
    return found


def _with_room(each: states.Standing) -> weights.Node:
    """Every one another, so that no share follows from another's."""
    room = dict.fromkeys(range(bpf_loop.CLASSES), 1000 * (each.seat.number + 1))
    return weights.Node(each.seat.spec.name, weights.State.READY, headroom=room)


def disruption() -> dict[str, float]:
    """One of a hundred nodes goes: new flows of others that change their node, and known flows that do."""
    members = [Member(f"node-{n}", n) for n in range(MEMBERS)]
    gone = MEMBERS // 2
    before, after = pairs(members), pairs([each for each in members if each.number != gone])
    unrelated = before[:, 0] != gone
    moved = float(np.mean(before[unrelated, 0] != after[unrelated, 0]))
    return {"moved_percent": 100 * moved, "broken_percent": 100 * _broken()}


def _broken() -> float:
    """Of known flows, when a node leaves the ring while it drains."""
    kind = KINDS["ns_known_tcp_4k"]
    with lb_loop.loop_over(kind.frame) as loop, lb_loop.balancer(kind) as balancer:
        target = bpf_loop.Target(kind.name, balancer.program("sn_balance").descriptor, XDP_TX)
        loop.once(target, kind.flows)
        lb_loop.end_doubt(balancer)
        tables, states_view = Tables(balancer), balancer.map("sn_lb_states").view(writable=True)
        states_view["flags"][0] |= 2
        ring = tables.put_ring(pairs([Member(f"node-{n}", n) for n in range(1, NODES)]))
        tables.put_vip(Address(VIP, lb_loop.PORT, bpf_frames.TCP), ring=ring, index=0)
        start = lb_loop.reasons(balancer, lb_loop.reason_names())
        loop.batches(target, kind.flows)
        end = lb_loop.reasons(balancer, lb_loop.reason_names())
    sent = sum(end.values()) - sum(start.values())
    if not sent:
        raise Transient("no packet of a known flow was sent: run the benchmark again")
    kept = end.get("KNOWN", 0) - start.get("KNOWN", 0)
    return 1 - kept / sent


def _seconds(what: object) -> float:
    assert callable(what)
    start = time.perf_counter()
    what()
    return time.perf_counter() - start
