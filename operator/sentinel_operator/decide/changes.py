"""Two statuses to the Events between them: people are told of changes, and of nothing twice."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sentinel_api.v1alpha1.clusterstatus import BufferClusterStatus
from sentinel_api.v1alpha1.conditions import Condition

BAD_WHEN_TRUE = ("Degraded", "ScalingLimited")
QUIET = ("Progressing",)  # its steps are told as those of the roll-out


@dataclass(frozen=True, slots=True)
class Change:
    """`kind` is what Kubernetes calls the type of an Event."""

    kind: Literal["Normal", "Warning"]
    reason: str
    message: str
    at: datetime


def changes(old: BufferClusterStatus, new: BufferClusterStatus, now: datetime) -> tuple[Change, ...]:
    """A new message under the same reason is no change: numbers in it move all the time."""
    return (*_conditions(old, new, now), *_rollout(old, new, now), *_decisions(old, new))


def _conditions(old: BufferClusterStatus, new: BufferClusterStatus, now: datetime) -> Iterator[Change]:
    before = {c.type: (c.status, c.reason) for c in old.conditions}
    for condition in new.conditions:
        known = before.get(condition.type)
        if condition.type in QUIET or known == (condition.status, condition.reason):
            continue
        if known is None and not _bad(condition):
            continue  # a condition that begins well is no news
        yield Change("Warning" if _bad(condition) else "Normal", condition.reason, _sentence(condition), now)


def _bad(condition: Condition) -> bool:
    return condition.status == ("True" if condition.type in BAD_WHEN_TRUE else "False") and condition.reason not in (
        "Off",
        "RecommendOnly",
        "Paused",
    )


def _sentence(condition: Condition) -> str:
    said = f"{condition.type} is {condition.status}"
    return f"{said}: {condition.message}" if condition.message else f"{said}."


def _rollout(old: BufferClusterStatus, new: BufferClusterStatus, now: datetime) -> Iterator[Change]:
    phase = new.rollout.phase
    if phase == old.rollout.phase or not (old.rollout.target or phase != "Done"):
        return
    bad = phase in ("RollingBack", "Held")
    message = new.rollout.message or "All nodes run what the spec asks for."
    yield Change("Warning" if bad else "Normal", f"Rollout{phase}", message, now)


def _decisions(old: BufferClusterStatus, new: BufferClusterStatus) -> Iterator[Change]:
    known = {decision.decided_at for decision in old.scaling.decisions}
    for decision in reversed(new.scaling.decisions):
        if decision.decided_at not in known and decision.applied:
            way = "ScaledOut" if decision.to_nodes > decision.from_nodes else "ScaledIn"
            moved = f"From {decision.from_nodes} to {decision.to_nodes} nodes: {decision.message}"
            yield Change("Normal", way, moved, decision.decided_at)
