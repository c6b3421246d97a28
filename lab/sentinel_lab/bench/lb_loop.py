"""The balancer's own program in the benchmark's loop: tables filled as its control plane would, flows known or new."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from sentinel_bpf import layout
from sentinel_bpf import object as bpf_object
from sentinel_bpf.ruleset import RuleSet
from sentinel_core.rules import Rule
from sentinel_lab.bench import bpf_frames, bpf_loop
from sentinel_lab.dataplane import OBJECT
from sentinel_lb.act.tables import Address, Tables, load_balancer
from sentinel_lb.decide.ring import Member, pairs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from sentinel_lab.bench.bpf_frames import Frame

LB_OBJECT: Final = OBJECT.with_name("lb.bpf.o")
XDP_TX: Final = 3
NODES: Final = 16
WORDS: Final = 40
VIP, PORT = "198.51.100.9", 443
MAC: Final = bytes.fromhex("02aabbccdd01")
SYN: Final = 0x02
TCP_FLAGS_AT: Final = 47
HOUR_NS: Final = 3600 * 10**9

OPENING = replace(
    bpf_frames.PLAIN4,
    name="IPv4 TCP, SYN",
    data=bpf_frames.PLAIN4.data[:TCP_FLAGS_AT] + bytes([SYN]) + bpf_frames.PLAIN4.data[TCP_FLAGS_AT + 1 :],
)


@dataclass(frozen=True, slots=True)
class Kind:
    """One line of the table: what is sent, and how the balancer is set."""

    name: str
    frame: Frame
    flows: int
    readiness: bool = True
    remembers: bool = True
    table: int = 262_144
    known: bool = True
    bounded: bool = False
    """As shipped: so many new flows a second and core are remembered."""


@contextmanager
def loop_over(frame: Frame) -> Iterator[bpf_loop.Loop]:
    """The balancer puts a header in front of each frame, so every repetition begins with the frame made anew."""
    words = np.frombuffer(frame.data[:WORDS], "<u8")
    constants = {
        "sn_address_at": frame.address_at,
        "sn_port_at": frame.port_at,
        "sn_frame_bytes": len(frame.data),
        "sn_frame_words": words,
    }
    with bpf_object.load(bpf_loop.LOOP, bpf_object.Options(rodata=constants)) as loaded:
        yield bpf_loop.Loop(loaded, frame)


@contextmanager
def balancer(kind: Kind) -> Iterator[bpf_object.Object]:
    """Sixteen nodes behind one address, all alive; with readiness each tells of its room for every class."""
    rodata = {"sn_ready_age_ns": HOUR_NS, "sn_mesh_age_ns": HOUR_NS}
    if not kind.bounded:
        rodata["sn_opens_per_s"] = 0 if kind.remembers else 1
    with load_balancer(LB_OBJECT, rodata=rodata, max_entries={"sn_lb_conns": kind.table}) as loaded:
        tables = Tables(loaded)
        tables.put_mac(kind.frame.data[:6])
        for number in range(NODES):
            tables.put_backend(number, f"203.0.113.{number + 1}", mac=MAC, mtu=1500)
        _set_alive(loaded, readiness=kind.readiness)
        ring = tables.put_ring(pairs([Member(f"node-{n}", n) for n in range(NODES)]))
        for index, protocol in enumerate((bpf_frames.TCP, bpf_frames.UDP)):
            tables.put_vip(Address(VIP, PORT, protocol), ring=ring, index=index)
        RuleSet(loaded).replace([Rule(1, destination_ports=(PORT, PORT))])
        yield loaded


def end_doubt(loaded: bpf_object.Object) -> None:
    """As if their first packets had been seen: flows that are met in the middle stay in doubt and take a longer way."""
    connections = loaded.map("sn_lb_conns")
    for key, conn in zip(*connections.dump(), strict=True):
        sure = conn.copy()
        sure["unsure"] = 0
        connections.put(key, sure)


def _set_alive(loaded: bpf_object.Object, *, readiness: bool) -> None:
    now_ns = time.monotonic_ns()
    states = loaded.map("sn_lb_states").view(writable=True)
    states["flags"][:NODES], states["generation"][:NODES], states["mesh_ns"][:NODES] = 1, 1, now_ns
    prober, seen = loaded.map("sn_prober").view(writable=True), loaded.map("sn_seen").view(writable=True)
    prober["period_ns"][0], prober["beat_ns"][0] = HOUR_NS, now_ns
    seen["last_seen_ns"][:NODES] = now_ns
    if readiness:
        ready = loaded.map("sn_ready").view(writable=True)
        rooms = np.arange(1, NODES * bpf_loop.CLASSES + 1, dtype=np.uint64)
        ready["headroom_bytes"][: rooms.size], ready["seen_ns"][: rooms.size] = rooms * 1000, now_ns


def reasons(loaded: bpf_object.Object, names: Mapping[int, str]) -> dict[str, int]:
    totals = loaded.map("sn_lb_reasons").view()["packets"].reshape(-1, 64).sum(axis=0)
    return {names[number]: int(count) for number, count in enumerate(totals) if count}


def reason_names() -> Mapping[int, str]:
    every = dict(layout.constants(LB_OBJECT, "sn_lb_reason")) | {
        name: number for name, number in layout.constants(LB_OBJECT, "sn_reason").items() if name != "SN_REASONS"
    }
    return {number: name.removeprefix("SN_LB_").removeprefix("SN_REASON_") for name, number in every.items()}
