"""How rules without an allocation of their own share one pool: by priority, and never memory that is still taken."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sentinel_lab.policies.port import Seen
    from sentinel_lab.scenario import Scenario


def shared(scenario: Scenario, wants: Mapping[int, int], seen: Mapping[int, Seen]) -> dict[int, int]:
    """Floors, then wants by priority; bytes that are queued are refused successors, but cannot be taken away.

    So the sum of the larger of limit and backlog stays within the pool, unless the queues were over it before.
    """
    classes = sorted(scenario.resizable, key=lambda each: (each.priority, each.id))
    granted = {each.id: each.floor_bytes for each in classes}
    backlog = {each.id: seen[each.id].backlog_bytes if each.id in seen else 0 for each in classes}
    free = scenario.shared_bytes - sum(max(granted[each], backlog[each]) for each in granted)
    paid = {each: max(granted[each], backlog[each]) for each in granted}
    for each in classes:
        within = min(max(granted[each.id], wants[each.id]), paid[each.id] + max(0, free))
        free -= max(0, within - paid[each.id])
        granted[each.id] = within
    return granted
