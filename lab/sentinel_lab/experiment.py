"""One run of one policy against one pattern: built, driven, measured, judged clean or dirty, torn down."""

from __future__ import annotations

import tempfile
import time
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sentinel_core.sample import PERIOD_NS
from sentinel_lab import policies, results, seasoning, waits
from sentinel_lab.delay import can_delay, delayed
from sentinel_lab.loop import ThinLoop
from sentinel_lab.product import AgentProcess
from sentinel_lab.topology import NODE, RECEIVER, RECEIVER_ADDRESS, SENDER, SINGLE_BOTTLENECK, WAY_BACK, built
from sentinel_lab.traffic.orders import SendOrder, Stream
from sentinel_lab.traffic.patterns import schedule
from sentinel_lab.traffic.run import Outcome, ready
from sentinel_lab.traffic.syns import SYN_BYTES
from sentinel_lab.traffic.tcp_orders import TcpOrder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from sentinel_lab.history import History
    from sentinel_lab.namespaces import Namespace
    from sentinel_lab.results import ClassResult, NodeResult
    from sentinel_lab.scenario import Scenario, TrafficClass

LOOK_SECONDS = 0.125
FIRST_PHASE, PHASE_STEP = 0.5, 0.618  # the golden section: any number of rounds is spread evenly over the period


@dataclass(frozen=True, slots=True)
class Plan:
    scenario: Scenario
    pattern: str
    policy: str
    seconds: float
    seed: int = 0
    past_s: float = 0.0
    """So much of the same traffic do predictors remember from before the run."""
    round_trip_ms: float = 0.0
    """What is sent back is so long under way: datagrams are one-way, so that only TCP feels it."""

    @property
    def phase_ns(self) -> int:
        """How long after a look the first packet is due: the same for all who look every period, and another in each
        round. Bursts that begin whole periods apart all meet the same phase, which alone decides how much a rule that
        looks ten times a second loses of them."""
        return round(PERIOD_NS * ((FIRST_PHASE + self.seed * PHASE_STEP) % 1.0))

    def lives(self) -> tuple[seasoning.Life, ...]:
        """Of the classes that have a schedule."""
        return tuple(
            seasoning.life(each, self.pattern, self.seconds, self.seed, self.past_s)
            for each in self.scenario.classes
            if each.kind == "udp"
        )


@dataclass(frozen=True, slots=True)
class Run:
    plan: Plan
    start_ns: int
    history: History
    bursts: tuple[tuple[float, float], ...]
    classes: tuple[ClassResult, ...]
    node: NodeResult
    dirt: tuple[str, ...]
    nodes: int = 1
    simulated: bool = False

    @property
    def who(self) -> str:
        if self.simulated:
            return "One simulated buffer node"
        return "One buffer node" if self.nodes == 1 else f"{self.nodes} buffer nodes behind a balancer"

    @property
    def bursty(self) -> ClassResult:
        return next(each for each in self.classes if each.name == self.plan.scenario.bursty.name)

    def figures(self) -> dict[str, Any]:
        return {
            "pattern": self.plan.pattern,
            "policy": self.plan.policy,
            "seconds": self.plan.seconds,
            "seed": self.plan.seed,
            "phase_ms": self.plan.phase_ns / 1e6,
            "scenario": self.plan.scenario.name,
            "about": self.plan.scenario.about,
            "beside": self.plan.scenario.beside,
            "drain_bytes_per_s": self.plan.scenario.drain_bytes_per_s,
            "pool_bytes": self.plan.scenario.pool_bytes,
            "floor_bytes": self.plan.scenario.floor_bytes,
            "past_seconds": self.plan.past_s,
            "round_trip_ms": self.plan.round_trip_ms,
            "node": asdict(self.node),
            "classes": [_told(each) for each in self.classes],
            "beside_waits": waits.beside(self.plan.scenario, self.history),
            "late_ticks": self.history.late_ticks,
            "dirt": list(self.dirt),
        }


def _told(each: ClassResult) -> dict[str, Any]:
    rightful = {"rightful_drop_percent": each.rightful_drop_percent} if each.flood_sent else {}
    return asdict(each) | rightful


def check(plan: Plan) -> None:
    """Bad arguments are refused before anything is built."""
    schedule(plan.pattern, plan.seconds, plan.seed, begin_s=plan.past_s)
    policies.known(plan.policy)
    if plan.round_trip_ms:
        can_delay(plan.round_trip_ms)


def carried_out(plan: Plan, look: Callable[[History, int], None] | None = None) -> Run:
    """Blocks until the queue has drained; `look` is called several times a second with the history and the start."""
    check(plan)
    scenario = plan.scenario
    with (
        built(SINGLE_BOTTLENECK) as spaces,
        tempfile.TemporaryDirectory(prefix="sentinel-lab-") as folder,
        _far(plan, spaces[RECEIVER]),
    ):
        order = SendOrder(
            namespace=spaces[SENDER].name,
            address=RECEIVER_ADDRESS,
            seconds=plan.seconds,
            streams=streams(plan),
        )
        bulk = [_bulk(each, plan, order) for each in scenario.classes if each.kind == "bulk"]
        with (
            ready(order, spaces[RECEIVER].name, Path(folder), bulk) as traffic,
            _controller(plan, spaces[NODE], Path(folder)) as loop,
        ):
            start_ns = traffic.start(loop.history.beat_ns + plan.phase_ns)
            loop.begin(start_ns)
            while traffic.sending() or not _drained(loop.history, scenario):
                time.sleep(LOOK_SECONDS)
                loop.check()
                if look:
                    look(loop.history, start_ns)
            outcome = traffic.outcome()
    return judged(plan, start_ns, loop.history.after(start_ns), outcome)


def _far(plan: Plan, receiver: Namespace) -> AbstractContextManager[None]:
    return delayed(receiver, WAY_BACK, plan.round_trip_ms) if plan.round_trip_ms else nullcontext()


def _controller(plan: Plan, node: Namespace, folder: Path) -> ThinLoop | AgentProcess:
    """The one seam between the product's agent and its rivals: only what a policy may know passes."""
    lives = plan.lives() if plan.past_s or plan.policy in policies.NEEDS_TRUTH else ()
    past = seasoning.samples(plan.scenario, lives, start_ns=0)
    if plan.policy in policies.NEEDS_TRUTH:
        seasoning.prepare(folder, past, seasoning.truth(plan.scenario, lives, 0), policies.SLANTS[plan.policy])
        return AgentProcess(node, plan.scenario, folder, seasoned_in=folder)
    if plan.policy == policies.PRODUCT:
        seasoning.prepare(folder, past)
        return AgentProcess(node, plan.scenario, folder, seasoned_in=folder if plan.past_s else None)
    policy = policies.made(plan.policy, plan.scenario)
    if isinstance(policy, policies.Threshold):
        policy.season(past)
    return ThinLoop(node, plan.scenario, policy)


def _drained(history: History, scenario: Scenario) -> bool:
    return not any(history.of(each.id)[-1].backlog_bytes for each in scenario.classes)


def streams(plan: Plan, flows: int = 1) -> tuple[Stream, ...]:
    """Floods come last, so that a datagram's number is that of its class."""
    floods = (
        Stream(port=each.port, pattern=each.flood, packet_bytes=SYN_BYTES, kind="syn", seed=plan.seed)
        for each in plan.scenario.classes
        if each.flood
    )
    return (*_datagrams(plan, flows), *floods)


def _datagrams(plan: Plan, flows: int) -> Iterator[Stream]:
    yield from (
        Stream(
            port=each.port,
            pattern=each.pattern or plan.pattern,
            packet_bytes=each.packet_bytes,
            seed=plan.seed,
            scale=each.scale,
            begin_s=plan.past_s,
            flows=flows,
        )
        for each in plan.scenario.classes
        if each.kind == "udp"
    )


def _bulk(each: TrafficClass, plan: Plan, order: SendOrder) -> TcpOrder:
    return TcpOrder(
        namespace=order.namespace, address=order.address, port=each.port, kind="bulk", seconds=plan.seconds,
        seed=plan.seed,
    )  # fmt: skip


def judged(plan: Plan, start_ns: int, history: History, outcome: Outcome) -> Run:
    scenario = plan.scenario
    found = tuple(results.of(each, plan.seconds, history, outcome) for each in scenario.classes)
    dirt = [*outcome.dirt(), *results.starved(scenario, history)]
    for each in found:
        astray = each.sent - each.received - each.dropped
        if astray:
            dirt.append(f"{astray} packets of {each.name} were lost outside the queue")
    for traffic in scenario.classes:
        past = np.ptp(history.series(traffic.id, "past_queue"))
        if past:
            dirt.append(f"{past:.0f} packets of {traffic.name} went past the queue, its order having lapsed")
    flood = outcome.flood_to(scenario.bursty.port)
    bursts = (flood or outcome.sent_to(scenario.bursty.port)).bursts
    return Run(plan, start_ns, history, bursts, found, results.of_node(scenario, history), tuple(dirt))
