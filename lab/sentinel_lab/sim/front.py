"""Every policy against every pattern in virtual time, and the smallest pool with which each would have sufficed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sentinel_lab import seasoning
from sentinel_lab.policies import NEEDS_TRUTH, made
from sentinel_lab.scenario import MIXED, of_pattern
from sentinel_lab.sim.run import Lane, Result, simulate
from sentinel_lab.sim.traffic import BASE_RTT_S, Traffic, of_lives
from sentinel_lab.traffic.patterns import TRACE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sentinel_lab.policies import Policy
    from sentinel_lab.scenario import Scenario

STEP_S: Final = 0.001
MIXED_PATTERN: Final = "mixed"
REFERENCE: Final = "static-large"
"""With the largest pool that is tried it loses nothing, so its delay is what the bursts cost anyway, and bulk has its
fair part. (A rule that drops half of a burst is no measure: what is dropped does not wait.)"""

DROPS_ALLOWED: Final = 0.001
P99_ALLOWED: Final = 1.05
GOODPUT_KEPT: Final = 0.95
"""How much of the bursts may be lost; how much longer than with the reference they may wait; the part of its goodput
that bulk must keep."""

POOL_STEP: Final = 2.0**0.25
POOLS: Final = 24
SMALLEST_POOL: Final = 256 << 10
"""The pools that are tried lie a fifth apart, from 256 KiB to 13.5 MiB."""


@dataclass(frozen=True, slots=True)
class Case:
    """`pattern` is one of the testbed's, or `mixed` for the scenario where bulk shares the pool."""

    scenario: Scenario
    pattern: str
    policy: str
    seed: int
    seconds: float
    past_s: float = seasoning.PAST_S
    round_trip_s: float = BASE_RTT_S
    """Of bulk, beside what its queue takes."""


def scenario_of(pattern: str) -> Scenario:
    return of_pattern(pattern)


@dataclass(frozen=True, slots=True, eq=False)
class _Story:
    """The same for all policies: what is sent, and what learners remember of before."""

    lives: tuple[seasoning.Life, ...]
    traffic: Traffic


def carried_out(cases: Sequence[Case]) -> list[Result]:
    """Cases of one length and the same classes, side by side."""
    stories: dict[tuple[Any, ...], _Story] = {}
    lanes = []
    for case in cases:
        key = (case.pattern, case.seed, case.seconds, case.past_s, case.scenario.drain_bytes_per_s)
        if key not in stories:
            stories[key] = _told(case)
        story = stories[key]
        rule = policy(case, story.lives)
        lanes.append(Lane(case.scenario, story.traffic, rule, seed=case.seed, base_rtt_s=case.round_trip_s))
    return simulate(lanes)


def policy(case: Case, lives: Sequence[seasoning.Life]) -> Policy:
    truth = seasoning.truth(case.scenario, lives, 0) if case.policy in NEEDS_TRUTH else None
    found = made(case.policy, case.scenario, truth)
    season = getattr(found, "season", None)
    if season is not None:
        season(seasoning.samples(case.scenario, lives, 0))
    return found


def _told(case: Case) -> _Story:
    lives = tuple(
        seasoning.life(each, case.pattern, case.seconds, case.seed, case.past_s)
        for each in case.scenario.classes
        if each.kind == "udp"
    )
    return _Story(lives, of_lives(case.scenario, case.pattern, lives, case.seconds, STEP_S))


def named(pattern: str) -> str:
    """A trace goes by its file's name: where it lay is nobody's business."""
    path = pattern.removeprefix(TRACE)
    return pattern if path == pattern else TRACE + Path(path).name.removesuffix(".csv.gz")


def row(case: Case, result: Result) -> dict[str, Any]:
    """All figures of one run; amounts of memory in bytes, of time in milliseconds."""
    return {
        "pattern": named(case.pattern),
        "policy": case.policy,
        "seed": case.seed,
        "seconds": case.seconds,
        "drain_bytes_per_s": case.scenario.drain_bytes_per_s,
        "static_small_bytes": case.scenario.floor_bytes,
        "pool_bytes": case.scenario.pool_bytes,
        "round_trip_ms": 1000 * case.round_trip_s,
        "about": case.scenario.about,
        "beside": case.scenario.beside,
        "held_bytes_mean": result.pool_held_mean,
        "held_bytes_peak": result.pool_held_peak,
        "granted_bytes_mean": result.pool_granted_mean,
        "classes": {
            name: {
                "sent_bytes": round(each.sent_bytes),
                "dropped_bytes": round(each.dropped_bytes),
                "drop_percent": 100 * each.drop_share,
                "goodput_bytes_per_s": each.served_bytes / case.seconds,
                "sojourn_ms_p50": each.sojourn_ms(0.5),
                "sojourn_ms_p95": each.sojourn_ms(0.95),
                "sojourn_ms_p99": each.sojourn_ms(0.99),
                "held_bytes_mean": each.held_mean,
                "held_bytes_peak": each.held_peak,
                "granted_bytes_mean": each.granted_mean,
                "granted_bytes_peak": each.granted_peak,
            }
            for name, each in result.figures.items()
        },
    }


def smallest_pools(policies: Sequence[str], seeds: Sequence[int], seconds: float) -> list[dict[str, Any]]:
    """By policy, all seeds together: bisected over the grid of pools, on the assumption that more room never hurts."""
    ample = MIXED.with_pool(pool(POOLS - 1))
    reference = carried_out([Case(ample, MIXED_PATTERN, REFERENCE, seed, seconds) for seed in seeds])
    bound = _Bound.of(reference)
    low, high = dict.fromkeys(policies, -1), dict.fromkeys(policies, POOLS)
    while open_ := [each for each in policies if high[each] - low[each] > 1]:
        tried = {each: (low[each] + high[each]) // 2 for each in open_}
        cases = [
            Case(MIXED.with_pool(pool(tried[each])), MIXED_PATTERN, each, seed, seconds)
            for each in open_
            for seed in seeds
        ]
        results = carried_out(cases)
        for index, each in enumerate(open_):
            suffices = bound.kept(results[index * len(seeds) : (index + 1) * len(seeds)])
            (high if suffices else low)[each] = tried[each]
    return [
        {"policy": each, "smallest_pool_bytes": pool(high[each]) if high[each] < POOLS else None, "seeds": len(seeds)}
        for each in policies
    ]


def pool(index: int) -> int:
    return round(SMALLEST_POOL * POOL_STEP**index)


@dataclass(frozen=True, slots=True)
class _Bound:
    p99_ms: float
    bulk_bytes: float

    @classmethod
    def of(cls, results: Sequence[Result]) -> _Bound:
        return cls(_p99_ms(results) * P99_ALLOWED, _bulk(results) * GOODPUT_KEPT)

    def kept(self, results: Sequence[Result]) -> bool:
        bursty = [each.figures["bursty"] for each in results]
        dropped = sum(each.dropped_bytes for each in bursty) / sum(each.sent_bytes for each in bursty)
        return dropped <= DROPS_ALLOWED and _p99_ms(results) <= self.p99_ms and _bulk(results) >= self.bulk_bytes


def _p99_ms(results: Sequence[Result]) -> float:
    return float(np.mean([each.figures["bursty"].sojourn_ms(0.99) for each in results]))


def _bulk(results: Sequence[Result]) -> float:
    return float(sum(each.figures["bulk"].served_bytes for each in results))
