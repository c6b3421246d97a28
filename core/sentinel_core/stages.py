"""The stages of the flow stabilisation unit: each shares what the ones before it left of the pool."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from sentinel_core.filling import fill

if TYPE_CHECKING:
    from sentinel_core.room import Bools, Ints, Limits, Seen

YIELDING_DROP_COST: Final = 20
"""Classes whose lost byte costs no more than this many held ones (bulk, telemetry) are drained for others."""


def share(limits: Limits, granted: Ints, wanted: Ints) -> Ints:
    """One stage: what is left of the pool goes to those who want more than they have."""
    left = limits.pool_bytes - int(granted.sum())
    return granted + fill(left, np.maximum(wanted - granted, 0), limits.priority, limits.weight)


def reacted(limits: Limits, granted: Ints, present: Ints, ready: Ints) -> Ints:
    """The reactive rule's stage: what is needed now, and what may be before the next look."""
    left = limits.pool_bytes - int(granted.sum())
    return granted + _in_turn(limits, left, np.maximum(ready - granted, 0), np.maximum(present - granted, 0))


def _in_turn(limits: Limits, budget: int, wanted: Ints, urgent: Ints) -> Ints:
    """Within each priority first what is urgent of all, then the rest: so that memory of one class's surges takes
    nothing that another of its own or an earlier priority needs now."""
    first = np.minimum(urgent, wanted)
    turn = np.concatenate([2 * limits.priority, 2 * limits.priority + 1])
    got = fill(budget, np.concatenate([first, wanted - first]), turn, np.concatenate([limits.weight, limits.weight]))
    return got[: len(wanted)] + got[len(wanted) :]


def pre_drained(limits: Limits, likely: Bools, floors: Ints, reacted: Ints, wanted: Ints) -> tuple[Ints, Bools]:
    """The forecast's stage, and who gives way: where the pool falls short of a likely burst, yielding classes of a
    later priority give what they have above their floor, the last priority first."""
    granted = share(limits, reacted, wanted)
    yielding = limits.drop_cost <= YIELDING_DROP_COST
    short = np.where(likely & ~yielding, np.maximum(wanted - granted, 0), 0)
    draining = np.zeros(len(wanted), np.bool_)
    if not short.any():
        return granted, draining
    for level in sorted(set(limits.priority[yielding].tolist()), reverse=True):
        ahead = limits.priority < level
        givers = yielding & (limits.priority == level)
        unmet = np.where(ahead, short, 0)
        spare = np.where(givers, reacted - floors, 0)
        given = fill(int(unmet.sum()), spare, limits.priority, limits.weight)
        taken = fill(int(given.sum()), unmet, limits.priority, limits.weight)
        granted, short = granted - given + taken, short - taken
        draining |= givers & bool(unmet.any())
    return granted, draining


def lent(limits: Limits, kept: Ints, ceiling: Ints) -> Ints:
    """What is left of the pool's calm size is lent evenly: loans know neither priority nor weight."""
    left = min(limits.lend_bytes, limits.pool_bytes) - int(kept.sum())
    if left <= 0:
        return kept
    even = np.ones_like(kept)
    return kept + fill(left, np.maximum(ceiling - kept, 0), even, even)


def into_free_memory(limits: Limits, seen: Seen, floors: Ints, present: Ints, stages: tuple[Ints, ...]) -> Ints:
    """The stages' grants as far as memory is free of queued bytes; growth is served stage by stage, what is needed at
    present before the rest of its priority's.

    Room up to what a class holds already costs nothing. A class that is to shrink is cut at once, but its queued bytes
    count until they have left.
    """
    limit = np.minimum(stages[-1], np.maximum(floors, seen.backlog_bytes))
    free = limits.pool_bytes - int(np.maximum(limit, seen.backlog_bytes).sum())
    for stage in stages:
        if free <= 0:
            break
        wanted = np.maximum(np.minimum(stage, stages[-1]) - limit, 0)
        grown = _in_turn(limits, free, wanted, np.maximum(present - limit, 0))
        limit, free = limit + grown, free - int(grown.sum())
    return limit
