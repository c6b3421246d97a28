"""The rivals: rules that foresee nothing, each as strong as we could make it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sentinel_lab.policies.sharing import shared

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sentinel_lab.policies.port import Seen
    from sentinel_lab.scenario import Scenario

CALM_BEFORE_SHRINK_NS = 1_000_000_000  # a burst's own gaps must not cost it the room it just got
FREE_SHARE = 1.0  # the classic choice: one greedy queue takes half of the memory and leaves the other half free


@dataclass(slots=True)
class Static:
    name: str
    fixed: Mapping[int, int]
    period_s: float = 0.1

    def limits(self, seen: Mapping[int, Seen]) -> Mapping[int, int]:  # noqa: ARG002 - a static rule looks at nothing
        return self.fixed


def static_small(scenario: Scenario) -> Static:
    return Static("static-small", {each.id: each.floor_bytes for each in scenario.resizable})


def static_large(scenario: Scenario) -> Static:
    """The whole pool, cut for good among those who share it, by their shares of the link."""
    whole = sum(each.guaranteed_share for each in scenario.resizable)
    cuts = {each.id: int(scenario.shared_bytes * each.guaranteed_share / whole) for each in scenario.resizable}
    return Static("static-large", cuts)


@dataclass(slots=True)
class DynamicThreshold:
    """Every class may hold a fixed multiple of what is free: switches have done so for decades."""

    name: str
    scenario: Scenario
    period_s: float = 0.01

    def limits(self, seen: Mapping[int, Seen]) -> Mapping[int, int]:
        mine = self.scenario.resizable
        free = self.scenario.shared_bytes - sum(seen[each.id].backlog_bytes for each in mine)
        threshold = int(FREE_SHARE * max(0, free))
        return {each.id: max(each.floor_bytes, threshold) for each in mine}


@dataclass(slots=True)
class Reactive:
    """Room for what stands in the queue, two more periods at the present slope, and the floor on top.

    Grows at once, doubles on a drop, and gives back only after a second in which half of it would have done.
    """

    name: str
    period_s: float
    scenario: Scenario
    _needed_since_ns: dict[int, int] = field(default_factory=dict, init=False)

    def limits(self, seen: Mapping[int, Seen]) -> Mapping[int, int]:
        wants = {each.id: self._wanted(each.id, each.floor_bytes, seen[each.id]) for each in self.scenario.resizable}
        return shared(self.scenario, wants, seen)

    def _wanted(self, class_id: int, floor_bytes: int, seen: Seen) -> int:
        slope = max(0.0, (seen.arrived_bytes - seen.drained_bytes) / seen.elapsed_s)
        needed = floor_bytes + seen.backlog_bytes + 2 * slope * self.period_s
        if seen.dropped_packets:
            needed = max(needed, 2 * seen.limit_bytes)
        if needed > seen.limit_bytes / 2:
            self._needed_since_ns[class_id] = seen.now_ns
            return int(max(needed, seen.limit_bytes))
        if seen.now_ns - self._needed_since_ns.get(class_id, 0) < CALM_BEFORE_SHRINK_NS:
            return seen.limit_bytes
        self._needed_since_ns[class_id] = seen.now_ns
        return int(needed)
