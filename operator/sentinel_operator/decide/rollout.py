"""How a new version or configuration reaches the nodes: a few first, a while of watching, the rest in small steps.

    Done ──► Canary ──► Soaking ──► Spreading ──► Done
               └───────────┴────────────┴──► RollingBack ──► Held      (until something else is asked for)

A value in, a value out: what must outlive the operator is the `Rollout` in the cluster's status.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from statistics import fmean
from typing import Literal

from sentinel_api.v1alpha1.agent import UpdateStrategy
from sentinel_api.v1alpha1.clusterstatus import Rollout, RolloutBaseline

ANSWER_S = 300  # a changed node that does not work after that is a failed change, not a slow one
DROP_FACTOR = 2  # changed nodes may drop so many times what the others drop …
DROP_SLACK = 100  # … and so many packets a node besides: a handful of drops proves nothing
PRECISION_SLACK = 20  # points of live precision that changed nodes may lose against the others


@dataclass(frozen=True, slots=True)
class Member:
    """A node, seen against what is wanted of it."""

    node: str
    ordered: bool  # the wanted configuration is ordered, and no pod of another version is left
    running: bool  # its agent says that it runs what is wanted
    healthy: bool  # its agent reported lately that it works
    alive: bool  # its agent reported lately
    dropped: int = 0  # packets, since its programs were loaded
    precision: int | None = None  # percent, of alarms that were judged; None where too few were


@dataclass(frozen=True, slots=True)
class Step:
    """`change`: nodes that may get what is wanted now; the others keep what they have. `back`: wanted is the old."""

    state: Rollout
    change: frozenset[str]
    back: bool = False


def target_of(config_digest: str, template_digest: str) -> str:
    """Names the pair; what it is made of can be read in the objects themselves."""
    return f"{config_digest.removeprefix('sha256:')[:12]}.{template_digest[:12]}"


def refused(before: Rollout, target: str) -> bool:
    """Whether this very change was tried and taken back."""
    return before.target == target and before.phase in ("RollingBack", "Held")


def forward(rules: UpdateStrategy, before: Rollout, target: str, members: Iterable[Member], now: datetime) -> Step:
    """The next step of a change that was not refused. Before anything was good there is nothing to go back to.

    Whatever was begun is found again from the members themselves, so a successor goes on where the last leader fell.
    """
    everyone = tuple(sorted(members, key=lambda m: (not m.ordered, not m.healthy, m.node)))
    living = [m for m in everyone if m.alive]
    updated = sum(m.running for m in everyone)
    if before.target != target:
        phase = "Spreading" if before.good in ("", target) else "Canary"  # what was good was watched already
        sick = sum(not m.healthy for m in living)
        begun = {"target": target, "since": now, "phase": phase, "baseline": None, "sick_nodes": sick}
        before = before.model_copy(update=begun)
    before = before.model_copy(update={"updated_nodes": updated})
    if living and all(m.running for m in living) and _well_enough(before, living):
        return Step(before.model_copy(update={"phase": "Done", "message": "", "baseline": None}), _names(everyone))
    match before.phase:
        case "Canary":
            return _canary(rules, before, everyone, now)
        case "Soaking":
            return _soak(rules, before, everyone, now)
        case "Done":  # a node that was away: it changes within the budget, and proves nothing against the change
            return Step(before, _next(before, everyone, _budget(rules, everyone)))
        case _:
            return _spread(rules, before, everyone, now)


def backward(rules: UpdateStrategy, before: Rollout, members: Iterable[Member]) -> Step:
    """Members are seen against the last good version here. Without `rollBack` everything stays as it stands."""
    everyone = tuple(sorted(members, key=lambda m: (not m.ordered, m.healthy, m.node)))
    if not rules.roll_back:
        return Step(_in(before, "Held", before.message), frozenset())
    if all(m.running for m in everyone if m.alive):
        return Step(_in(before, "Held", before.message), _names(everyone), back=True)
    return Step(
        _in(before, "RollingBack", before.message), _next(before, everyone, _budget(rules, everyone)), back=True
    )


def _well_enough(before: Rollout, living: list[Member]) -> bool:
    """A node that was sick before proves nothing against the change; the very first one must work on half of them."""
    sick = sum(not m.healthy for m in living)
    return before.phase == "Done" or sick <= (before.sick_nodes if before.good else len(living) // 2)


def _canary(rules: UpdateStrategy, before: Rollout, everyone: tuple[Member, ...], now: datetime) -> Step:
    first = everyone[: rules.canary_nodes]
    if all(m.running and m.healthy for m in first):
        return _soak(rules, _entered(before, "Soaking", everyone, now), everyone, now)
    late = before.since is not None and (now - before.since).total_seconds() > ANSWER_S
    if late:
        return _give_up(rules, before, f"{first[0].node} does not work with the change after {ANSWER_S} s.")
    return Step(_in(before, "Canary", f"{len(first)} of {len(everyone)} nodes change first."), _names(first))


def _soak(rules: UpdateStrategy, before: Rollout, everyone: tuple[Member, ...], now: datetime) -> Step:
    worse = _worse(before.baseline, everyone)
    if worse:
        return _give_up(rules, before, worse)
    since = before.since or now
    left_s = rules.soak_seconds - (now - since).total_seconds()
    if left_s <= 0:
        return _spread(rules, before.model_copy(update={"phase": "Spreading", "since": now}), everyone, now)
    return Step(_in(before, "Soaking", "The first nodes are watched before the others change."), frozenset())


def _spread(rules: UpdateStrategy, before: Rollout, everyone: tuple[Member, ...], now: datetime) -> Step:
    """`since` is when the last node was seen to come back, or the first to change."""
    budget = _budget(rules, everyone)
    broken = _busy(before, everyone)
    since = now if before.since is None or not broken else before.since
    if broken and before.good not in ("", before.target) and (now - since).total_seconds() > ANSWER_S:
        return _give_up(rules, before, f"{broken} changed nodes do not work after {ANSWER_S} s.")
    message = f"{sum(m.running for m in everyone)} of {len(everyone)} nodes have changed."
    state = _in(before, "Spreading", message).model_copy(update={"since": since})
    return Step(state, _next(before, everyone, budget))


def _budget(rules: UpdateStrategy, everyone: tuple[Member, ...]) -> int:
    return max(1, len(everyone) * rules.max_unavailable_percent // 100)


def _busy(before: Rollout, everyone: tuple[Member, ...]) -> int:
    """Changed nodes that do not work, beyond those that did not work before."""
    busy = sum(m.ordered and m.alive and not (m.running and m.healthy) for m in everyone)
    return max(0, busy - before.sick_nodes)


def _next(before: Rollout, everyone: tuple[Member, ...], budget: int) -> frozenset[str]:
    """Who may change beside those that are in the middle of it; nodes without an agent cost nothing."""
    waiting = [m for m in everyone if not m.ordered]
    free = [m.node for m in waiting if not m.alive]
    return frozenset(free + [m.node for m in waiting if m.alive][: max(0, budget - _busy(before, everyone))])


def _worse(baseline: RolloutBaseline | None, everyone: tuple[Member, ...]) -> str:
    """Why the change looks bad; empty while it does not. Without other nodes there is nothing to compare with."""
    changed, others = [m for m in everyone if m.running], [m for m in everyone if not m.ordered and m.alive]
    sick = [m.node for m in everyone if m.ordered and not m.healthy]
    if sick:
        return f"{sick[0]} stopped working after the change."
    if baseline is None or not changed or not others:
        return ""
    mine = max(0, sum(m.dropped for m in changed) - baseline.dropped_packets) / len(changed)
    theirs = max(0, sum(m.dropped for m in others) - baseline.others_dropped_packets) / len(others)
    if mine > DROP_FACTOR * theirs + DROP_SLACK:
        return f"Changed nodes dropped {mine:.0f} packets each, the others {theirs:.0f}."
    here, there = _judged(changed), _judged(others)
    lost = fmean(there) - fmean(here) if here and there else 0.0
    return f"Changed nodes foresee worse by {lost:.0f} points of precision." if lost > PRECISION_SLACK else ""


def _judged(members: list[Member]) -> list[int]:
    """Nodes that met no burst have shown nothing, neither for a change nor against it."""
    return [m.precision for m in members if m.precision is not None]


def _entered(before: Rollout, phase: Literal["Soaking"], everyone: tuple[Member, ...], now: datetime) -> Rollout:
    baseline = RolloutBaseline(
        dropped_packets=sum(m.dropped for m in everyone if m.running),
        others_dropped_packets=sum(m.dropped for m in everyone if not m.ordered and m.alive),
    )
    return before.model_copy(update={"phase": phase, "since": now, "baseline": baseline})


def _give_up(rules: UpdateStrategy, before: Rollout, why: str) -> Step:
    if rules.roll_back:
        return Step(_in(before, "RollingBack", why), frozenset(), back=True)
    return Step(_in(before, "Held", why), frozenset())


def _in(before: Rollout, phase: str, message: str) -> Rollout:
    return before.model_copy(update={"phase": phase, "message": message[:256]})


def _names(members: Iterable[Member]) -> frozenset[str]:
    return frozenset(m.node for m in members)
