"""Which samples a comparison is made of, in which order, and how those already taken are kept."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sentinel_lab import policies
from sentinel_lab.experiment import Plan
from sentinel_lab.scenario import MIB, MIXED, OF_PATTERN, SCENARIOS, SINGLE, of_pattern
from sentinel_lab.seasoning import PAST_S
from sentinel_lab.traffic.patterns import TRACE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from sentinel_lab.scenario import Scenario

Row = dict[str, Any]

MIXED_PATTERN: Final = "mixed"
UNSENT: Final = frozenset({"mixed", "flows"})
"""Names of scenarios and of no schedule: each of their classes has its own."""
POOLS: Final = tuple(int(MIB * size) for size in (0.75, 1.0, 1.5, 2.0, 3.0, 4.0))
"""Of the mixed scenario: from too small for anybody to enough for everybody."""
POOL_RIVALS: Final = frozenset({"reactive-10ms", policies.PRODUCT, "oracle"})
_WHOLE: Final = {each.name: each.pool_bytes for each in SCENARIOS.values()}
_NAMES: Final = {each.name: name for name, each in OF_PATTERN.items()}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line said."""

    patterns: tuple[str, ...]
    policies: tuple[str, ...]
    seconds: float
    seeds: int
    past_s: float = PAST_S
    drains: tuple[int, ...] = ()
    floors: tuple[int, ...] = ()
    pools: tuple[int, ...] = POOLS
    """Tried in the mixed scenario, by those whose smallest pool is asked for; by others only the last."""
    round_trip_ms: float = 0.0
    once: frozenset[str] = frozenset()
    """Policies that only the first round has."""


def plans(asked: Asked) -> Iterator[Plan]:
    """Rivals stand side by side in time, and each of them goes first in some round. Of a trace all are sent what comes
    after the past, whoever remembers it."""
    for seed in range(asked.seeds):
        for pattern in asked.patterns:
            for scenario in _scenarios(asked, pattern):
                shift = seed % len(asked.policies)
                for policy in (*asked.policies[shift:], *asked.policies[:shift]):
                    if policy in policies.NEEDS_TRUTH and not scenario.has_truth:
                        continue
                    if seed and policy in asked.once:
                        continue
                    if scenario.pool_bytes != _WHOLE[scenario.name] and policy not in POOL_RIVALS:
                        continue
                    yield Plan(
                        scenario=scenario,
                        pattern=(scenario.bursty.pattern or pattern) if pattern in UNSENT else pattern,
                        policy=policy,
                        seconds=asked.seconds,
                        seed=seed,
                        past_s=asked.past_s if policy in policies.LEARNERS or pattern.startswith(TRACE) else 0.0,
                        round_trip_ms=asked.round_trip_ms,
                    )


def _scenarios(asked: Asked, pattern: str) -> Iterator[Scenario]:
    if pattern == MIXED_PATTERN:
        yield from (MIXED.with_pool(pool) for pool in asked.pools)
        return
    if pattern in OF_PATTERN:
        yield of_pattern(pattern)
        return
    for drain in asked.drains or (SINGLE.drain_bytes_per_s,):
        for floor in asked.floors or (SINGLE.floor_bytes,):
            yield SINGLE.with_drain(drain).with_floor(floor)


def name_of(plan: Plan) -> str:
    """Of the pattern as the figures name it: a trace by its file."""
    if plan.scenario.name in _NAMES:
        return _NAMES[plan.scenario.name]
    if plan.pattern.startswith(TRACE):
        return plan.pattern.rpartition("/")[2].partition(".")[0]
    return plan.pattern


def row_of(run_figures: Row, plan: Plan) -> Row:
    """A trace goes by its file's name: where it lay is nobody's business."""
    pattern = f"{TRACE}{Path(plan.pattern).name}" if plan.pattern.startswith(TRACE) else plan.pattern
    return run_figures | {"name": name_of(plan), "pattern": pattern}


class Kept:
    """One file a clean sample, named by everything that decides it, so that a comparison can be taken up again."""

    def __init__(self, folder: Path | None, code: str) -> None:
        """`code` names what the samples are taken of."""
        self._folder = folder
        self._code = code

    def find(self, plan: Plan) -> Row | None:
        path = self._path(plan)
        if path is None or not path.exists():
            return None
        found: Row = json.loads(path.read_text())
        return found

    def keep(self, plan: Plan, row: Row) -> None:
        path = self._path(plan)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            half = path.with_suffix(".half")
            half.write_text(json.dumps(row))
            half.rename(path)

    def _path(self, plan: Plan) -> Path | None:
        digest = hashlib.sha256(f"{self._code} {plan!r}".encode()).hexdigest()[:16]
        return self._folder / f"{name_of(plan)}-{plan.policy}-{plan.seed}-{digest}.json" if self._folder else None


def of_policy(rows: Sequence[Row], policy: str) -> list[Row]:
    return [row for row in rows if row["policy"] == policy]
