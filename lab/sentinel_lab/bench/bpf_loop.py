"""The data plane's own program in a loop inside the kernel: what each stage adds, flow by flow, harness subtracted."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final

import numpy as np

from sentinel_api.errors import Transient
from sentinel_bpf import layout, testrun
from sentinel_bpf import object as bpf_object
from sentinel_bpf.agent import load_agent
from sentinel_bpf.ruleset import RuleSet
from sentinel_core import orders
from sentinel_core.rules import Rule
from sentinel_lab.dataplane import OBJECT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from sentinel_lab.bench.bpf_frames import Frame

LOOP: Final = OBJECT.parent / "bench" / "loop.bpf.o"
HARNESS, DROP, ALL = "harness", "drop", "probes"
# In the order in which they are switched on, each beside those before it; with the last one all are.
STAGES: Final[Mapping[str, str]] = {
    "parse, count": "",
    "shapes": "sn_shapes_on",
    "flows, rules": "sn_flows_on",
    "top flows": "sn_top_on",
    "sources": "sn_sources_on",
    "police": "sn_police_on",
    "metadata": "sn_meta_on",
    "tunnels": "sn_tunnels_on",
    ALL: "sn_probes_on",
}
XDP_DROP, XDP_PASS, TC_UNSPEC = 1, 2, -1
CLASSES, RULES, PORTS_A_RULE = 16, 64, 512
FAST = 100_000_000_000  # bytes a second: the queue is reckoned for each packet, and never fills
HOUR_NS = 3600 * 10**9
SETTLING = 8192  # packets that only warm caches, or a round of all flows
MEASURED = 32_768
ENDLESS = 1 << 24  # flows, of which no benchmark sends as many
# Packets of a flow before any is timed. Its first ones are dearer, for its source is told of them at each power of two;
# later of every 32nd, and since they are drawn at random, each flow is then at another point of that.
GROWN = 28


@dataclass(frozen=True, slots=True)
class Timing:
    """Nanoseconds a packet, of batches; `quiet` is the middle of the least disturbed round, and of several loads
    `least` and `most` are the lowest and the highest p50."""

    p50: float
    p99: float
    quiet: float
    least: float = 0.0
    most: float = 0.0


@dataclass(frozen=True, slots=True)
class Target:
    name: str
    descriptor: int | None
    verdict: int
    agent: bpf_object.Object | None = None
    reason: str = "SN_REASON_PASSED"  # of each of its packets, or the figures are those of another path


@dataclass(frozen=True, slots=True)
class Way:
    """Where the programs stand that are timed: the loop's program, where it jumps, and how the kernel is asked."""

    step: str
    timed: str
    run: Callable[..., testrun.Run]


IN: Final = Way("sn_bench_next", "sn_bench_timed", testrun.run)
OUT: Final = Way("sn_bench_out", "sn_bench_timed_out", testrun.run_tc)


class Loop:
    """One frame that runs through all flows, and a jump to whatever is timed."""

    def __init__(self, loaded: bpf_object.Object, frame: Frame, way: Way = IN) -> None:
        self.loaded = loaded
        self._frame = frame
        self._try = way.run
        self._step = loaded.program(way.step)
        self._state = loaded.map("sn_bench").view(writable=True)
        self._stamps = loaded.map("sn_bench_stamps").view()
        self._timed = loaded.map(way.timed)
        self._batch = layout.constants(loaded.path, "sn_bench_const")["SN_BENCH_BATCH"]
        self._jumping = False

    def batches(self, target: Target, flows: int) -> NDArray[np.float64]:
        """Nanoseconds a packet of each batch, after the caches have seen every flow; of `ENDLESS` none comes twice."""
        self._aim(target)
        self._state["flows_mask"] = flows - 1
        settling, packets = (max(each, flows % ENDLESS) for each in (SETTLING, MEASURED))
        self._run(target, settling)
        self._run(target, packets + 1)  # one more, so that the last batch has an end
        stamps = np.array(self._stamps[: packets // self._batch + 1], np.int64)
        return np.diff(stamps) / self._batch

    def grow(self, target: Target, flows: int, *, scattered: bool) -> None:
        """Let flows outlive their youth. Entries lie in the order in which flows first came: that of the rounds to
        come, so that the next one is near, or, `scattered`, none at all."""
        if not scattered:
            self.once(target, flows)
        self._state["at_random"] = 1
        self._aim(target)
        self._state["flows_mask"] = flows - 1
        self._run(target, GROWN * flows)
        self._state["at_random"] = 0

    def once(self, target: Target, flows: int) -> None:
        """One packet of each flow, untimed."""
        self._aim(target)
        self._state["flows_mask"] = flows - 1
        self._run(target, flows)

    def _aim(self, target: Target) -> None:
        if target.descriptor is not None:
            self._timed.put(0, target.descriptor)
        elif self._jumping:
            self._timed.delete(0)
        self._jumping = target.descriptor is not None

    def _run(self, target: Target, packets: int) -> None:
        self._state["packets"] = 0
        action = self._try(self._step, self._frame.data, repeat=packets).action
        if action != target.verdict or self._state["packets"][0] != packets:
            raise Transient(f"the loop ended early in {target.name} (verdict {action}): run the benchmark again")


@contextmanager
def loop_over(frame: Frame) -> Iterator[tuple[Loop, list[Target]]]:
    """With the two targets that are no part of the product."""
    constants = {"sn_address_at": frame.address_at, "sn_port_at": frame.port_at}
    with bpf_object.load(LOOP, bpf_object.Options(rodata=constants)) as loaded:
        drop = Target(DROP, loaded.program("sn_bench_drop").descriptor, XDP_DROP)
        yield Loop(loaded, frame), [Target(HARNESS, None, XDP_PASS), drop]


def staged(
    name: str, rules: Sequence[Rule] | None = None, programs: frozenset[str] = frozenset({"sn_ingress"})
) -> bpf_object.Object:
    """The shipped program with this stage on and those before it, under rules and a live order for each class."""
    names = list(STAGES)
    on = set(names[: names.index(name) + 1])
    switches = {switch: int(each in on) for each, switch in STAGES.items() if switch}
    agent = load_agent(OBJECT, rodata=switches, programs=programs)
    if switches["sn_flows_on"]:  # else every packet would be compared with all rules, which no one ships
        RuleSet(agent).replace(_rules() if rules is None else rules)
    _order(agent)
    return agent


def drop_ns(frame: Frame, rounds: int) -> float:
    """A program that only drops, alone: the least that one repetition of a test run takes, nothing subtracted."""
    with bpf_object.load(LOOP) as loaded:
        program = loaded.program("sn_bench_drop")
        return median(testrun.run(program, frame.data, repeat=MEASURED).duration_ns for _ in range(rounds))


@contextmanager
def targets(names: Sequence[str]) -> Iterator[list[Target]]:
    with ExitStack() as stack:
        agents = {name: stack.enter_context(staged(name)) for name in names}
        yield [Target(name, agent.program("sn_ingress").descriptor, XDP_PASS, agent) for name, agent in agents.items()]


def measured(loop: Loop, against: Sequence[Target], flows: int, rounds: int) -> dict[str, Timing]:
    """Each target in turn, round by round; the harness is subtracted from the others."""
    kept: dict[str, list[NDArray[np.float64]]] = {each.name: [] for each in against}
    for _ in range(rounds):
        for each in against:
            kept[each.name].append(loop.batches(each, flows))
    bare = _timing(kept.pop(HARNESS))
    net = {name: _timing(batches) for name, batches in kept.items()}
    return {HARNESS: bare} | {
        name: Timing(each.p50 - bare.p50, each.p99 - bare.p50, each.quiet - bare.quiet) for name, each in net.items()
    }


def middle(loads: Sequence[Mapping[str, Timing]]) -> dict[str, Timing]:
    """Each figure's median over the loads, so that one that was disturbed throughout moves nothing."""
    found = {}
    for name in loads[0]:
        each = [load[name] for load in loads]
        p50 = [timing.p50 for timing in each]
        found[name] = Timing(
            median(p50),
            median(timing.p99 for timing in each),
            median(timing.quiet for timing in each),
            min(p50),
            max(p50),
        )
    return found


def require_clean(target: Target, packets: int) -> None:
    """Every packet left for the reason that is the target's, or the figures are those of another path."""
    if target.agent is None:
        return
    names = layout.constants(target.agent.path, "sn_reason")
    counts = target.agent.map("sn_reasons").view()["packets"].reshape(-1, names["SN_REASONS"]).sum(axis=0)
    if counts.sum() != counts[names[target.reason]] or counts.sum() < packets:
        raise Transient(f"{target.name}: packets took another way than the one to be timed; run the benchmark again")


@contextmanager
def undisturbed() -> Iterator[None]:
    """On one CPU and at real-time priority: what the neighbours do to caches and clocks stays."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        os.sched_setaffinity(0, before)


def _timing(rounds: Sequence[NDArray[np.float64]]) -> Timing:
    together = np.concatenate(rounds)
    quiet = min(float(np.median(each)) for each in rounds)
    return Timing(float(np.median(together)), float(np.percentile(together, 99)), quiet)


def _rules() -> list[Rule]:
    return [
        Rule(1 + each % (CLASSES - 1), destination_ports=(each * PORTS_A_RULE, (each + 1) * PORTS_A_RULE - 1))
        for each in range(RULES)
    ]


def _order(agent: bpf_object.Object) -> None:
    bits = layout.constants(agent.path, "sn_order_flag")
    order = orders.Order(max_bytes=1 << 30, drain_bytes_per_s=FAST, target_us=20_000)
    for each in range(CLASSES):
        agent.map("sn_order").put(each, orders.words(order, time.monotonic_ns() + HOUR_NS, 0, bits))
