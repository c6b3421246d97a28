"""A fleet under a rule: nodes cost from when they are ordered, carry traffic after the lead time, and go at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from sentinel_lab.bench.scaling_days import STEP_S

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sentinel_lab.bench.scaling_days import Day
    from sentinel_lab.bench.scaling_rules import Rule

    Floats = NDArray[np.float64]

FIRST_NODES: Final = 3
SETTLING_S: Final = 2 * 3_600
"""A rule is at work for so long before it is judged."""
BLOCKS: Final = 24
RESAMPLES: Final = 400
SHARE: Final = 95.0


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """Per step, of the judged part only: nodes paid for, seconds of overload, traffic beyond capacity, actions."""

    ordered: Floats
    overload_s: Floats
    excess: Floats
    demand: Floats
    actions: int

    @property
    def node_hours(self) -> float:
        return float(self.ordered.sum()) * STEP_S / 3_600

    @property
    def overload(self) -> float:
        return float(self.overload_s.sum())

    @property
    def dropped_percent(self) -> float:
        return 100.0 * float(self.excess.sum()) / max(float(self.demand.sum()), 1e-9)


def lived(day: Day, rule: Rule, lead_s: int) -> Outcome:
    """Nodes that are given back while others still start are taken from those: they serve nobody yet."""
    steps = len(day.demand)
    ordered, serving = np.zeros(steps), np.zeros(steps)
    nodes, ready, actions = FIRST_NODES, FIRST_NODES, 0
    coming: list[tuple[int, int]] = []  # (step at which they serve, how many)
    for step in range(max(0, day.warm_up - SETTLING_S // STEP_S), steps):
        while coming and coming[0][0] <= step:
            ready += coming.pop(0)[1]
        if step and step * STEP_S % rule.period_s == 0:
            wanted = rule.wants(step, nodes)
            if wanted != nodes and step >= day.warm_up:
                actions += 1
            if wanted > nodes:
                coming.append((step + lead_s // STEP_S, wanted - nodes))
            else:
                ready -= _returned(coming, nodes - wanted)
            nodes = wanted
        ordered[step], serving[step] = nodes, ready
    judged = slice(day.warm_up, steps)
    known = day.known[judged]
    beyond = np.where(known, np.maximum(day.demand[judged] - serving[judged], 0.0), 0.0)
    return Outcome(
        ordered=ordered[judged],
        overload_s=np.where(beyond > 0, float(STEP_S), 0.0),
        excess=beyond,
        demand=np.where(known, day.demand[judged], 0.0),
        actions=actions,
    )


def _returned(coming: list[tuple[int, int]], count: int) -> int:
    """How many of `count` must be taken from those that serve; the youngest orders are cancelled first."""
    while count and coming:
        at, size = coming.pop()
        if size > count:
            coming.append((at, size - count))
        count -= min(size, count)
    return count


def interval(ours: list[Outcome], theirs: list[Outcome]) -> tuple[tuple[float, float], tuple[float, float]]:
    """95 % intervals of (overload reduction, ratio of node-hours), by resampling blocks of the days, paired."""
    random = np.random.default_rng(7)
    mine, other = _blocks(ours), _blocks(theirs)
    picks = random.integers(0, len(mine), size=(RESAMPLES, len(mine)))
    overload = 1.0 - mine[picks, 0].sum(axis=1) / np.maximum(other[picks, 0].sum(axis=1), 1e-9)
    cost = mine[picks, 1].sum(axis=1) / other[picks, 1].sum(axis=1)
    low, high = (100 - SHARE) / 2, 50 + SHARE / 2
    overload = overload[other[picks, 0].sum(axis=1) > 0]
    bounds = np.percentile(overload, [low, high]) if len(overload) else np.array([np.nan, np.nan])
    costs = np.percentile(cost, [low, high])
    return (float(bounds[0]), float(bounds[1])), (float(costs[0]), float(costs[1]))


def _blocks(outcomes: list[Outcome]) -> Floats:
    rows = [
        (overload.sum(), ordered.sum())
        for outcome in outcomes
        for overload, ordered in zip(
            np.array_split(outcome.overload_s, BLOCKS), np.array_split(outcome.ordered, BLOCKS), strict=True
        )
    ]
    return np.array(rows, np.float64)
