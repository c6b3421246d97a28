"""What foresight is worth at each actuator latency: two families of rules, tuned alike, judged on time they never saw.

A rule's cost is the capacity it holds, as a share of the demand's peak, plus a price for what is lost:

    cost = mean capacity / peak + PRICE x lost / offered
    gain = 1 - cost(with foresight) / cost(without)

Peak is the highest demand of the first half held for a second. The first minutes are only learned from. The member of
each family that was cheapest on the rest of the first half is judged on the second; what was foretold is used only
where that was cheaper there in nineteen of twenty resamples, and else ignored, so a gain of exactly 0 means that there
was no proof of any. Intervals are of a bootstrap over blocks of a minute of the second half.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from sentinel_api.errors import Invalid
from sentinel_core.events import LIVE, TRACE
from sentinel_lab.sim import foresight
from sentinel_lab.sim.capacity import BLOCK_S, Outcome, carried, rolling_mean
from sentinel_training import synthetic

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from sentinel_core.events import Rule
    from sentinel_training.traces import Trace

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

LATENCIES_S: Final = (10e-6, 1e-3, 10e-3, 0.1, 1.0, 10.0, 30.0, 120.0)
LOOK_S: Final = 0.01
"""A reactive rule looks every 10 ms, so what it sees is as old, whatever the actuator."""
PRICE: Final = 10.0
"""One per cent of the traffic lost costs as much as a tenth of the peak capacity held. Swept: PRICES."""
PRICES: Final = (1.0, 10.0, 100.0)
LEARNING_S: Final = 600.0
"""Nobody switches a learner on and judges it at once; at most half of the first half goes to this."""
RESAMPLES: Final = 400
INTERVAL: Final = (0.05, 0.95)
PROVEN: Final = 0.95
LEAST_BLOCKS: Final = 10
LEAST_OFFERED: Final = 1e-9

SETTLED: Final = 1.25
"""Where the tuned rule without foresight cost more than so many times the best one in hindsight, the halves differ too
much to tune on one and judge on the other, and nothing is said."""


@dataclass(frozen=True, slots=True, eq=False)
class Subject:
    """Demand of [series, bin] per second. `onsets` is what the oracle is told; only bins from `judged` on count."""

    name: str
    bin_s: float
    demand: Floats
    known: Bools
    rule: Rule
    judged: int
    onsets: tuple[NDArray[np.int64], ...] | None = None


def settled(gain: float, gain_in_hindsight: float) -> bool:
    """Whether the rule that foresight was compared with was anywhere near the best of its kind."""
    return 1.0 - gain_in_hindsight <= SETTLED * (1.0 - gain)


@dataclass(frozen=True, slots=True)
class Point:
    """One latency. Held is a share of the peak, lost one of the traffic; the interval holds nine tenths."""

    latency_s: float
    source: str
    price: float
    gain: float
    low: float
    high: float
    held: float
    lost: float
    reactive_held: float
    reactive_lost: float
    gain_in_hindsight: float
    """Against the reactive rule that was cheapest on the judged half itself, which nobody could have known."""


def of_pattern(pattern: str, seconds: float, seeds: Sequence[int]) -> Subject:
    runs = [synthetic.made(pattern, seconds, seed) for seed in seeds]
    demand = np.stack([run.counts for run in runs]) / synthetic.STEP_S
    onsets = tuple(np.round(run.onsets_s / synthetic.STEP_S).astype(np.int64) for run in runs)
    half = demand.shape[1] // 2
    return Subject(pattern, synthetic.STEP_S, demand, np.ones(demand.shape, np.bool_), LIVE, half, onsets)


def poisson(seconds: float, seeds: Sequence[int]) -> Subject:
    """The negative control: nothing ever happens that the past could tell."""
    demand = np.stack([np.random.default_rng((seed, 5)).poisson(20.0, round(seconds / 0.1)) for seed in seeds]) / 0.1
    return Subject("poisson", 0.1, demand, np.ones(demand.shape, np.bool_), LIVE, demand.shape[1] // 2)


def of_trace(trace: Trace) -> Subject:
    demand = trace.counts[None, :] / trace.step_s
    return Subject(trace.name, trace.step_s, demand, trace.known[None, :], TRACE, trace.warm_up)


def crossover(subject: Subject, seed: int = 0, latencies_s: Sequence[float] = LATENCIES_S) -> list[Point]:
    """One point a latency, source of foresight and price."""
    tuned, judged = _blocks(subject)
    if min(_busy(subject, tuned), _busy(subject, judged)) < LEAST_BLOCKS:
        raise Invalid(f"{subject.name} has a half with fewer than {LEAST_BLOCKS} minutes of traffic: use a longer one")
    seen = foresight.walk(subject.demand, subject.known, subject.bin_s, subject.rule)
    truth = seen.bursts
    if subject.onsets is not None:
        truth = tuple(
            foresight.bursts(rate, onsets[onsets < len(rate)], subject.bin_s)
            for rate, onsets in zip(subject.demand, subject.onsets, strict=True)
        )
    plain = foresight.reactive(subject.demand, subject.bin_s, slice(0, subject.judged))
    holds = foresight.held_bases(plain)
    demands = foresight.demands(subject.demand, subject.bin_s)
    peak = float(rolling_mean(subject.demand, max(1, round(1 / subject.bin_s)))[:, : subject.judged].max())
    found = []
    for latency_s in latencies_s:
        without = carried(plain, subject.demand, subject.bin_s, latency_s + LOOK_S)
        told = {
            "product": np.concatenate(
                [
                    foresight.foretold(subject.demand, seen, subject.bin_s, latency_s),
                    foresight.demanded(demands, latency_s),
                ]
            ),
            "oracle": foresight.told_exactly(subject.demand, truth, subject.bin_s, latency_s),
        }
        for source, orders in told.items():
            extra = carried_together(holds, orders, subject, latency_s)
            foreseeing = joined(without, extra)
            for price in PRICES:
                judge = _Judge(peak * BLOCK_S, price, tuned, judged, seed)
                found.append(judge.point(latency_s, source, without, foreseeing))
    return found


def carried_together(bases: Floats, orders: Floats, subject: Subject, latency_s: float) -> Outcome:
    """Each base with each order on top: the larger of both. What a forecast says is known when its bin has ended, what
    a rate is when it has been looked at."""
    parts = []
    for order in orders:
        delayed = np.concatenate([order[:, :1], order[:, :-1]], axis=1)
        parts.append(carried(np.maximum(bases, delayed[None]), subject.demand, subject.bin_s, latency_s + LOOK_S))
    return joined(*parts)


def joined(*parts: Outcome) -> Outcome:
    held, lost = np.concatenate([each.held for each in parts]), np.concatenate([each.lost for each in parts])
    return Outcome(held, lost, parts[0].offered)


def _busy(subject: Subject, blocks: NDArray[np.int64]) -> int:
    per_block = max(1, round(BLOCK_S / subject.bin_s))
    count = subject.demand.shape[1] // per_block
    offered = subject.demand[:, : count * per_block].reshape(-1, per_block).sum(axis=1)
    return int((offered[blocks] > 0).sum())


def _blocks(subject: Subject) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Of all series, in the order of an `Outcome`: blocks that lie in the tuned and in the judged time whole, and in
    which everything was measured."""
    per_block = max(1, round(BLOCK_S / subject.bin_s))
    count = subject.demand.shape[1] // per_block
    known = subject.known[:, : count * per_block].reshape(-1, count, per_block).all(axis=2)
    number = np.broadcast_to(np.arange(count), known.shape)
    learned = min(LEARNING_S / subject.bin_s, subject.judged / 2)
    tuned = known & (number * per_block >= learned) & ((number + 1) * per_block <= subject.judged)
    judged = known & (number * per_block >= subject.judged)
    return np.flatnonzero(tuned.reshape(-1)), np.flatnonzero(judged.reshape(-1))


class _Judge:
    def __init__(
        self, peak_block: float, price: float, tuned: NDArray[np.int64], judged: NDArray[np.int64], seed: int
    ) -> None:
        self._peak_block, self._price = peak_block, price
        self._tuned, self._judged = tuned, judged
        self._random = np.random.default_rng((seed, 11))

    def point(self, latency_s: float, source: str, without: Outcome, foreseeing: Outcome) -> Point:
        plain = self._cheapest(without, self._tuned)
        told = self._proven(without.part(self._tuned), foreseeing.part(self._tuned), plain)
        hindsight = self._cheapest(without, self._judged)
        rivals = without.part(self._judged), foreseeing.part(self._judged)
        whole = np.arange(len(self._judged))
        cost, told_cost = self._cost(rivals[0], whole)[plain], self._cost(rivals[1], whole)[told]
        low, high = self._interval(rivals, plain, told)
        return Point(
            latency_s=latency_s,
            source=source,
            price=self._price,
            gain=1.0 - told_cost / cost,
            low=low,
            high=high,
            held=self._held(rivals[1], told),
            lost=float(rivals[1].lost[told].sum() / rivals[1].offered.sum()),
            reactive_held=self._held(rivals[0], plain),
            reactive_lost=float(rivals[0].lost[plain].sum() / rivals[0].offered.sum()),
            gain_in_hindsight=1.0 - told_cost / self._cost(rivals[0], whole)[hindsight],
        )

    def _held(self, outcome: Outcome, rule: int) -> float:
        return float(outcome.held[rule].mean() / self._peak_block)

    def _cost(self, outcome: Outcome, blocks: NDArray[np.int64]) -> Floats:
        held = outcome.held[:, blocks].mean(axis=1) / self._peak_block
        lost = outcome.lost[:, blocks].sum(axis=1) / outcome.offered[blocks].sum()
        cost: Floats = held + self._price * lost
        return cost

    def _cheapest(self, outcome: Outcome, blocks: NDArray[np.int64]) -> int:
        return int(np.argmin(self._cost(outcome, blocks)))

    def _proven(self, without: Outcome, foreseeing: Outcome, plain: int) -> int:
        """The rule with foresight to use. Its family begins with the rules without, so `plain` is one of them."""
        told = int(np.argmin(self._cost(foreseeing, np.arange(len(self._tuned)))))
        costs = self._resampled((without, foreseeing), plain, told)
        return told if (costs[1] < costs[0]).mean() >= PROVEN else plain

    def _interval(self, rivals: tuple[Outcome, Outcome], plain: int, told: int) -> tuple[float, float]:
        costs = self._resampled(rivals, plain, told)
        low, high = np.quantile(1.0 - costs[1] / costs[0], INTERVAL).tolist()
        return low, high

    def _resampled(self, rivals: tuple[Outcome, Outcome], plain: int, told: int) -> tuple[Floats, Floats]:
        """The same blocks are drawn for both, so that what makes a minute hard makes it hard for both."""
        count = len(rivals[0].offered)
        drawn = self._random.integers(0, count, (RESAMPLES, count))
        costs = []
        for outcome, rule in zip(rivals, (plain, told), strict=True):
            held = outcome.held[rule][drawn].mean(axis=1) / self._peak_block
            offered = np.maximum(outcome.offered[drawn].sum(axis=1), LEAST_OFFERED)
            costs.append(held + self._price * outcome.lost[rule][drawn].sum(axis=1) / offered)
        return costs[0], costs[1]
