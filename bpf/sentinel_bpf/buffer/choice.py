"""Which tier an interface gets: the best that kernel, build and device allow, and why not the one above."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sentinel_bpf.buffer.htb import HtbBuffer
from sentinel_bpf.buffer.observe import ObserveBuffer
from sentinel_bpf.buffer.port import Tier
from sentinel_bpf.buffer.programs import QueuePrograms
from sentinel_bpf.buffer.qdisc import QdiscBuffer

if TYPE_CHECKING:
    from sentinel_bpf.buffer.port import Buffer, Interface, Verdict
    from sentinel_bpf.buffer.qdisc import Home
    from sentinel_bpf.object import Object


def best(interface: Interface, agent: Object, home: Home, pool_bytes: int) -> tuple[Buffer, Verdict]:
    """No queue is made yet. `agent` is loaded with the programs of tier B, which are those of tier A and one more."""
    first = QdiscBuffer(interface, agent, home, pool_bytes)
    verdict = first.probe()
    if verdict.tier is Tier.BPF_QDISC:
        return first, verdict
    programs = QueuePrograms(agent)
    second = HtbBuffer(interface, programs)
    fallback = second.probe()
    if fallback.tier is Tier.HTB:
        return second, replace(fallback, why=f"{fallback.why}; not tier A: {verdict.why}")
    programs.close()
    return ObserveBuffer(fallback.why, first), fallback
