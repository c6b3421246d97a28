"""Runs in virtual time: traffic into queues, what was seen to policies, limits back after a delay."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sentinel_api.errors import Invalid
from sentinel_lab.sim.node import SERIES_S, Node
from sentinel_lab.sim.traffic import BASE_RTT_S, frame_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from sentinel_lab.policies import Policy
    from sentinel_lab.scenario import Scenario
    from sentinel_lab.sim.tally import Figures
    from sentinel_lab.sim.traffic import Traffic

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Lane:
    """One run. `latency_s` passes between a policy's answer and the queue obeying it."""

    scenario: Scenario
    traffic: Traffic
    policy: Policy
    latency_s: float = 0.0
    seed: int = 0
    base_rtt_s: float = BASE_RTT_S


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """For plots: limit and backlog at points, drops since the point before, each [points, classes]."""

    at_s: Floats
    limit: Floats
    backlog: Floats
    dropped: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    figures: Mapping[str, Figures]
    pool_held_mean: float
    pool_held_peak: float
    pool_granted_mean: float
    simulated_frames: float
    series: Series | None


def simulate(lanes: Sequence[Lane], warm_up_s: float = 0.0, series: bool = False) -> list[Result]:
    """Figures of what comes after the warm-up, one result a lane, in order.

    Lanes keep step: at each instant all have got as far before the first policy looks, so that policies may tell each
    other what they see, as nodes of a mesh do.
    """
    step_s, steps = _step(lanes)
    if warm_up_s >= steps * step_s:
        raise Invalid("the warm-up must be shorter than the run")
    nodes = [Node(each, warm_up_s, series) for each in lanes]
    groups = _periods(lanes, step_s)
    for step in _instants([period for period, _ in groups], steps):
        for node in nodes:
            node.advance(step)
        for period, members in groups:
            if step % period == 0:
                for index in members:
                    nodes[index].control()
    for node in nodes:
        node.advance(steps)
    return [_result(node, lane) for node, lane in zip(nodes, lanes, strict=True)]


def _step(lanes: Sequence[Lane]) -> tuple[float, int]:
    found = {(each.traffic.step_s, len(each.traffic.frames)) for each in lanes}
    if len(found) != 1:
        raise Invalid("runs side by side need the same steps: simulate the others apart")
    if any([one.kind for one in each.scenario.classes].count("bulk") > 1 for each in lanes):
        raise Invalid("one class of bulk flows can be simulated at a time: put the flows into one class")
    return found.pop()


def _periods(lanes: Sequence[Lane], step_s: float) -> list[tuple[int, list[int]]]:
    groups: dict[int, list[int]] = defaultdict(list)
    for index, each in enumerate(lanes):
        groups[max(1, round(each.policy.period_s / step_s))].append(index)
    return sorted(groups.items())


def _instants(periods: Sequence[int], steps: int) -> list[int]:
    return sorted({step for period in periods for step in range(period, steps, period)})


def _result(node: Node, lane: Lane) -> Result:
    mean, peak, granted = node.tally.pool()
    return Result(
        figures={
            each.name: node.tally.figures(column, frame_bytes(each))
            for column, each in enumerate(lane.scenario.classes)
        },
        pool_held_mean=mean,
        pool_held_peak=peak,
        pool_granted_mean=granted,
        simulated_frames=float((node.arrived() / node.frame).sum()),
        series=_series(node) if node.points else None,
    )


def _series(node: Node) -> Series:
    limit, backlog, dropped = (np.concatenate([stretch[part] for stretch in node.points]) for part in range(3))
    at_s: Floats = (np.arange(len(limit), dtype=np.float64) + 1) * SERIES_S
    return Series(at_s, limit, backlog, dropped)
