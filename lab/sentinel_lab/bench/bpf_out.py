"""What the data plane costs a packet on its way out, and what the rules cost one of which nothing is known yet."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from sentinel_bpf import object as bpf_object
from sentinel_core.rules import MAX_RULES, Rule, address_range
from sentinel_lab.bench import bpf_frames, bpf_loop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sentinel_lab.bench.bpf_loop import Target, Timing

BOTH: Final = frozenset({"sn_ingress", "sn_egress"})
PASSED_OUT: Final = "SN_REASON_EGRESS_PASSED"
EGRESS: Final = "sn_egress"


@dataclass(frozen=True, slots=True)
class Case:
    """`flows` of which each was seen at ingress before (`known`), or none was."""

    name: str  # in --json, and on the page
    metric: str
    flows: int
    program: str = EGRESS
    known: bool = False
    rules: int = MAX_RULES


CASES: Final = (
    Case("out, answers a known flow", "ns_out_1", 1, known=True),
    Case("out, answers a known flow", "ns_out_4k", 4096, known=True),
    Case("out, answers a known flow", "ns_out_64k", 65_536, known=True),
    Case("out, answers nobody known", "ns_out_unknown_4k", 4096),
    Case("out, the first of its flow", "ns_out_first_0_rules", bpf_loop.ENDLESS, rules=0),
    Case("out, the first of its flow", "ns_out_first_1024_rules", bpf_loop.ENDLESS),
    Case("in, the first of its flow", "ns_first_0_rules", bpf_loop.ENDLESS, "sn_ingress", rules=0),
    Case("in, the first of its flow", "ns_first_64_rules", bpf_loop.ENDLESS, "sn_ingress", rules=64),
    Case("in, the first of its flow", "ns_first_1024_rules", bpf_loop.ENDLESS, "sn_ingress"),
)


def missed(count: int) -> list[Rule]:
    """None is true of the benchmark's packets, and each is found out by its last comparison."""
    return [
        Rule(1, address_range(f"172.16.{each >> 8}.{each & 255}/32"), destination_ports=(0, 65_535), protocol=6)
        for each in range(count)
    ]


def timed(case: Case, rounds: int) -> Timing:
    """The harness, a program of the same kind that does nothing else, subtracted."""
    with prepared(case) as (loop, harness, target):
        found = bpf_loop.measured(loop, [harness, target], case.flows, rounds)[case.name]
        bpf_loop.require_clean(target, rounds * bpf_loop.MEASURED)
    return found


@contextmanager
def prepared(case: Case) -> Iterator[tuple[bpf_loop.Loop, Target, Target]]:
    """The loop, what is subtracted, and what is timed."""
    with _loop(case) as loop, bpf_loop.staged(bpf_loop.ALL, missed(case.rules), BOTH) as agent:
        _ask_of_all_classes(agent)
        if case.known:
            _introduce(agent, case.flows)
        target = _target(case, agent)
        yield loop, bpf_loop.Target(bpf_loop.HARNESS, None, target.verdict), target


def _target(case: Case, agent: bpf_object.Object) -> Target:
    descriptor = agent.program(case.program).descriptor
    if case.program == EGRESS:
        return bpf_loop.Target(case.name, descriptor, bpf_loop.TC_UNSPEC, agent, PASSED_OUT)
    return bpf_loop.Target(case.name, descriptor, bpf_loop.XDP_PASS, agent)


@contextmanager
def _loop(case: Case) -> Iterator[bpf_loop.Loop]:
    out = case.program == EGRESS
    frame = bpf_frames.ANSWER4 if out else bpf_frames.PLAIN4
    constants = {"sn_address_at": frame.address_at, "sn_port_at": frame.port_at}
    with bpf_object.load(bpf_loop.LOOP, bpf_object.Options(rodata=constants)) as loaded:
        yield bpf_loop.Loop(loaded, frame, bpf_loop.OUT if out else bpf_loop.IN)


def _ask_of_all_classes(agent: bpf_object.Object) -> None:
    """A rate and a mark for each, which no packet meets."""
    until = time.monotonic_ns() + bpf_loop.HOUR_NS
    asked = {"rate_Bps": bpf_loop.FAST, "burst_bytes": 1 << 30, "mark_above_bytes": 1 << 40}
    for each in range(bpf_loop.CLASSES):
        agent.map("sn_qos").put(each, valid_until_ns=until, **asked)


def _introduce(agent: bpf_object.Object, flows: int) -> None:
    with bpf_loop.loop_over(bpf_frames.PLAIN4) as (loop, _):
        loop.once(bpf_loop.Target("ingress", agent.program("sn_ingress").descriptor, bpf_loop.XDP_PASS), flows)
    agent.map("sn_reasons").view(writable=True)["packets"] = 0
