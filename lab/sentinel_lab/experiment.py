"""One run of one policy against one pattern: built, driven, measured, judged clean or dirty, torn down."""

from __future__ import annotations

import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sentinel_lab import policies, seasoned, seasoning
from sentinel_lab.loop import ThinLoop
from sentinel_lab.product import AgentProcess
from sentinel_lab.topology import NODE, RECEIVER, RECEIVER_ADDRESS, SENDER, SINGLE_BOTTLENECK, built
from sentinel_lab.traffic.orders import SendOrder, Stream
from sentinel_lab.traffic.patterns import schedule
from sentinel_lab.traffic.run import Outcome, ready

if TYPE_CHECKING:
    from collections.abc import Callable

    from sentinel_lab.history import History
    from sentinel_lab.namespaces import Namespace
    from sentinel_lab.scenario import Scenario, TrafficClass

LOOK_SECONDS = 0.125


@dataclass(frozen=True, slots=True)
class Plan:
    scenario: Scenario
    pattern: str
    policy: str
    seconds: float
    seed: int = 0
    past_s: float = 0.0
    """So much of the same traffic do predictors remember from before the run."""

    def lives(self) -> tuple[seasoning.Life, ...]:
        """Of the classes that have a schedule."""
        return tuple(
            seasoning.life(each, self.pattern, self.seconds, self.seed, self.past_s)
            for each in self.scenario.classes
            if each.kind == "udp"
        )


@dataclass(frozen=True, slots=True)
class ClassResult:
    """Delay is end to end, from the sender's system call to the receiver's; sojourn is the kernel's own figure."""

    name: str
    sent: int
    received: int
    dropped: int
    drop_percent: float
    delay_ms_p50: float
    delay_ms_p99: float
    sojourn_ms_p99: float
    granted_bytes_mean: float
    granted_bytes_peak: float
    held_bytes_mean: float
    held_bytes_peak: float


@dataclass(frozen=True, slots=True)
class Run:
    plan: Plan
    start_ns: int
    history: History
    bursts: tuple[tuple[float, float], ...]
    classes: tuple[ClassResult, ...]
    dirt: tuple[str, ...]

    @property
    def bursty(self) -> ClassResult:
        return next(each for each in self.classes if each.name == self.plan.scenario.bursty.name)

    def figures(self) -> dict[str, Any]:
        return {
            "pattern": self.plan.pattern,
            "policy": self.plan.policy,
            "seconds": self.plan.seconds,
            "seed": self.plan.seed,
            "classes": [asdict(each) for each in self.classes],
            "late_ticks": self.history.late_ticks,
            "dirt": list(self.dirt),
        }


def check(plan: Plan) -> None:
    """Bad arguments are refused before anything is built."""
    schedule(plan.pattern, plan.seconds, plan.seed, begin_s=plan.past_s)
    policies.known(plan.policy)


def carried_out(plan: Plan, look: Callable[[History, int], None] | None = None) -> Run:
    """Blocks until the queue has drained; `look` is called several times a second with the history and the start."""
    check(plan)
    scenario = plan.scenario
    with (
        built(SINGLE_BOTTLENECK) as spaces,
        tempfile.TemporaryDirectory(prefix="sentinel-lab-") as folder,
        _controller(plan, spaces[NODE], Path(folder)) as loop,
    ):
        order = SendOrder(
            namespace=spaces[SENDER].name,
            address=RECEIVER_ADDRESS,
            seconds=plan.seconds,
            streams=tuple(_stream(each, plan) for each in scenario.classes),
        )
        with ready(order, spaces[RECEIVER].name, Path(folder)) as traffic:
            start_ns = traffic.start()
            loop.begin(start_ns)
            while traffic.sending() or not _drained(loop.history, scenario):
                time.sleep(LOOK_SECONDS)
                loop.check()
                if look:
                    look(loop.history, start_ns)
            outcome = traffic.outcome()
    return _judged(plan, start_ns, loop.history.after(start_ns), outcome)


def _controller(plan: Plan, node: Namespace, folder: Path) -> ThinLoop | AgentProcess:
    """The one seam between the product's agent and its rivals: only what a policy may know passes."""
    lives = plan.lives() if plan.past_s or plan.policy in policies.NEEDS_TRUTH else ()
    past = seasoning.samples(plan.scenario, lives, start_ns=0)
    if plan.policy in policies.NEEDS_TRUTH:
        seasoned.prepare(folder, past, seasoning.truth(plan.scenario, lives, 0), policies.SLANTS[plan.policy])
        return AgentProcess(node, plan.scenario, folder, seasoned_in=folder)
    if plan.policy == policies.PRODUCT:
        seasoned.prepare(folder, past)
        return AgentProcess(node, plan.scenario, folder, seasoned_in=folder if plan.past_s else None)
    policy = policies.made(plan.policy, plan.scenario)
    if isinstance(policy, policies.Threshold):
        policy.season(past)
    return ThinLoop(node, plan.scenario, policy)


def _drained(history: History, scenario: Scenario) -> bool:
    return not any(history.of(each.id)[-1].backlog_bytes for each in scenario.classes)


def _stream(each: TrafficClass, plan: Plan) -> Stream:
    return Stream(
        port=each.port,
        pattern=each.pattern or plan.pattern,
        packet_bytes=each.packet_bytes,
        seed=plan.seed,
        scale=each.scale,
        begin_s=plan.past_s,
    )


def _judged(plan: Plan, start_ns: int, history: History, outcome: Outcome) -> Run:
    results = tuple(_result(each, index, history, outcome) for index, each in enumerate(plan.scenario.classes))
    dirt = outcome.dirt()
    for each in results:
        astray = each.sent - each.received - each.dropped
        if astray:
            dirt.append(f"{astray} packets of {each.name} were lost outside the queue")
    for traffic in plan.scenario.classes:
        past = np.ptp(history.series(traffic.id, "past_queue"))
        if past:
            dirt.append(f"{past:.0f} packets of {traffic.name} went past the queue, its order having lapsed")
    bursty = plan.scenario.classes.index(plan.scenario.bursty)
    return Run(plan, start_ns, history, outcome.sent[bursty].bursts, results, tuple(dirt))


def _result(each: TrafficClass, index: int, history: History, outcome: Outcome) -> ClassResult:
    sent, received = outcome.sent[index].sent, int(outcome.of(index).size)
    ticks = history.of(each.id)
    dropped = ticks[-1].drops if ticks else 0
    limits, backlogs = history.series(each.id, "limit_bytes"), history.series(each.id, "backlog_bytes")
    return ClassResult(
        name=each.name,
        sent=sent,
        received=received,
        dropped=dropped,
        drop_percent=100 * dropped / sent if sent else 0.0,
        delay_ms_p50=outcome.delay_ms(index, 0.5),
        delay_ms_p99=outcome.delay_ms(index, 0.99),
        sojourn_ms_p99=history.sojourn_ms(each.id, 0.99),
        granted_bytes_mean=history.time_mean(each.id, "limit_bytes"),
        granted_bytes_peak=float(max(limits, default=0)),
        held_bytes_mean=history.time_mean(each.id, "backlog_bytes"),
        held_bytes_peak=float(max(backlogs, default=0)),
    )
