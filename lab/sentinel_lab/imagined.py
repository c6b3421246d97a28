"""A run in the simulator, told as one of the testbed: for machines and people without root."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sentinel_lab import policies, seasoning
from sentinel_lab.experiment import Run
from sentinel_lab.history import Event, History, Tick
from sentinel_lab.results import ClassResult, of_node
from sentinel_lab.sim.run import Lane, simulate
from sentinel_lab.sim.traffic import Traffic, frame_bytes, of_pattern

if TYPE_CHECKING:
    from sentinel_lab.experiment import Plan
    from sentinel_lab.scenario import TrafficClass
    from sentinel_lab.sim.run import Result, Series
    from sentinel_lab.sim.tally import Figures

STEP_S = 0.001
TOLD_SHARE = 0.2
"""A limit that moves by less than this of itself is no event."""


def imagined(plan: Plan) -> Run:
    """The same policy and the same packets; delay is the time in the queue alone, since nothing else exists."""
    traffic = of_pattern(plan.scenario, plan.pattern, plan.seconds, plan.seed, STEP_S)
    lives = plan.lives()
    policy = policies.made(plan.policy, plan.scenario, seasoning.truth(plan.scenario, lives, 0))
    if plan.past_s and isinstance(policy, policies.Predictive | policies.Threshold):
        policy.season(seasoning.samples(plan.scenario, lives, 0))
    (result,) = simulate([Lane(plan.scenario, traffic, policy, seed=plan.seed)], series=True)
    assert result.series is not None
    history = _history(plan, traffic, result.series)
    classes = tuple(_class(plan, each, result, history) for each in plan.scenario.classes)
    node = of_node(plan.scenario, history)
    return Run(plan, 0, history, traffic.bursts, classes, node, (), simulated=True)


def _history(plan: Plan, traffic: Traffic, series: Series) -> History:
    history = History()
    arrived, dropped = np.cumsum(traffic.frames, axis=0), np.cumsum(series.dropped, axis=0)
    steps = np.minimum((series.at_s / traffic.step_s).astype(np.int64), len(arrived) - 1)
    for column, each in enumerate(plan.scenario.classes):
        size = frame_bytes(each)
        for point, at_s in enumerate(series.at_s):
            backlog, frames = int(series.backlog[point, column]), int(arrived[steps[point], column])
            drops = int(dropped[point, column] / size)
            history.add(
                each.id,
                Tick(
                    at_ns=round(at_s * 1e9), limit_bytes=int(series.limit[point, column]), backlog_bytes=backlog,
                    arrived_packets=frames, arrived_bytes=frames * size,
                    sent_bytes=max(0, (frames - drops) * size - backlog), drops=drops, past_queue=0, sojourn=(),
                ),
            )  # fmt: skip
    _tell(plan, history)
    return history


def _tell(plan: Plan, history: History) -> None:
    ticks = history.of(plan.scenario.bursty.id)
    told = ticks[0].limit_bytes if ticks else 0
    for tick in ticks:
        if abs(tick.limit_bytes - told) > TOLD_SHARE * told:
            verb = "room made" if tick.limit_bytes > told else "room given back"
            history.events.append(Event(tick.at_ns, f"{verb}: {told // 1024:,} → {tick.limit_bytes // 1024:,} KiB"))
            told = tick.limit_bytes


def _class(plan: Plan, each: TrafficClass, result: Result, history: History) -> ClassResult:
    figures: Figures = result.figures[each.name]
    size = frame_bytes(each)
    sent, dropped = round(figures.sent_bytes / size), round(figures.dropped_bytes / size)
    p50, p95, p99 = (figures.sojourn_ms(quantile) for quantile in (0.5, 0.95, 0.99))
    return ClassResult(
        name=each.name,
        sent=sent,
        received=round(figures.served_bytes / size),
        dropped=dropped,
        drop_percent=100 * dropped / sent if sent else 0.0,
        goodput_bytes_per_s=figures.served_bytes / size * each.packet_bytes / plan.seconds,
        granted_bytes_mean=figures.granted_mean,
        granted_bytes_peak=figures.granted_peak,
        held_bytes_mean=history.time_mean(each.id, "backlog_bytes"),
        held_bytes_peak=figures.held_peak,
        delay_ms_mean=figures.mean_ms,
        delay_ms_p50=p50,
        delay_ms_p95=p95,
        delay_ms_p99=p99,
        sojourn_ms_p50=p50,
        sojourn_ms_p95=p95,
        sojourn_ms_p99=p99,
    )
