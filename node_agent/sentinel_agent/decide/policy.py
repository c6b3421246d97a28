"""What is seen and expected to one order a class, with its reason: the agent's share of the allocation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from sentinel_api.decision import Alternative, Decision, inputs_digest
from sentinel_api.records import CLASSES
from sentinel_api.v1alpha1.profiles import PROFILES
from sentinel_core import pid
from sentinel_core.allocate import allocate
from sentinel_core.orders import Order
from sentinel_core.room import Allocation, Held, Limits, Outlook, Seen, Why

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sentinel_api.v1alpha1.nodeconfig import NodeConfig

UNMATCHED: Final = 0
UNMATCHED_NAME: Final = "unmatched"
MIN_LIMIT_BYTES: Final = 2 * 1514
"""Below two frames a queue is a policer; the one bound that even the cap on delay does not undercut."""

UNUSED: Final = {"floor_bytes": 0, "max_delay_millis": 0, "priority": 7, "weight": 1, "drop_cost": 1}
"""Of the ids that no class has: they want nothing and get nothing."""

TARGET_SHARE: Final = 0.5
"""Senders are marked from this share of the longest allowed wait on, so that most slow down before any is dropped."""


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """What a configuration fixes until the next one: names, limits, and how packets are treated."""

    names: Mapping[int, str]
    limits: Limits
    ceiling_bytes: Mapping[int, int]
    mark: bool
    share_bps: np.ndarray[tuple[int], np.dtype[np.float64]]
    """Each class's share of the drain rate by weight: its drain until one is measured."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When a decision is taken, for people, and how long it holds."""

    wall_millis: int
    lease_millis: int


@dataclass(frozen=True, slots=True)
class Chosen:
    """One tick's outcome. Decisions are told only where a limit moved."""

    orders: Mapping[int, Order]
    limit_bytes: Mapping[int, int]
    decisions: tuple[Decision, ...]
    allocation: Allocation


def standing(config: NodeConfig, rate_bytes_per_s: int) -> Standing:
    profiles = {config.ids[each.name]: each.resolved for each in config.traffic_classes}
    profiles.setdefault(UNMATCHED, PROFILES["network"])
    column = {
        name: np.array([getattr(profiles[i], name) if i in profiles else unused for i in range(CLASSES)], np.int64)
        for name, unused in (
            ("floor_bytes", 0),
            ("max_delay_millis", 0),
            ("priority", 7),
            ("weight", 1),
            ("drop_cost", 1),
        )
    }
    weights = np.array([profiles[i].weight if i in profiles else 0 for i in range(CLASSES)], np.float64)
    return Standing(
        names={config.ids[each.name]: each.name for each in config.traffic_classes} | {UNMATCHED: UNMATCHED_NAME},
        limits=Limits(
            pool_bytes=config.pool.max_bytes,
            lend_bytes=config.pool.min_bytes,
            floor_bytes=column["floor_bytes"],
            max_delay_us=column["max_delay_millis"] * 1000,
            priority=column["priority"],
            weight=column["weight"],
            drop_cost=column["drop_cost"],
        ),
        ceiling_bytes={
            config.ids[each.name]: each.ceiling_bytes
            for each in config.traffic_classes
            if each.ceiling_bytes is not None
        },
        mark=config.data_plane.ecn,
        share_bps=rate_bytes_per_s * weights / weights.sum(),
    )


def decide(rules: Standing, seen: Seen, outlook: Outlook | None, held: Held, moment: Moment) -> Chosen:
    """Pure: the same inputs give the same orders, whoever asks and whenever."""
    found = allocate(rules.limits, seen, outlook, held)
    limit = {
        each: max(MIN_LIMIT_BYTES, min(int(found.limit_bytes[each]), rules.ceiling_bytes.get(each, 1 << 40)))
        for each in rules.names
    }
    before = {each: max(MIN_LIMIT_BYTES, int(held.limit_bytes[each])) for each in rules.names}
    digest = inputs_digest(seen.arrivals.tobytes() + seen.backlog_bytes.tobytes() + held.limit_bytes.tobytes())
    moved = tuple(
        _decision(rules.names[each], found, each, (before[each], limit[each]), (digest, moment))
        for each in rules.names
        if limit[each] != before[each]
    )
    orders = {each: _order(rules, found, seen, each, limit[each]) for each in rules.names}
    return Chosen(orders, limit, moved, found)


def _order(rules: Standing, found: Allocation, seen: Seen, each: int, limit_bytes: int) -> Order:
    longest_us = int(rules.limits.max_delay_us[each])
    if found.draining[each] and seen.drain[each] > 0:  # its senders are told early, not only its arrivals refused
        longest_us = min(longest_us, int(limit_bytes * 1e6 / seen.drain[each]))
    return Order(
        max_bytes=limit_bytes,
        drain_bytes_per_s=int(seen.drain[each]),
        target_us=int(longest_us * TARGET_SHARE),
        gains=pid.BURST if found.burst[each] else pid.CALM,
        police=False,  # the real queue refuses what is over the limit; the virtual one would refuse it twice
        mark=rules.mark,
    )


def _decision(name: str, found: Allocation, each: int, change: tuple[int, int], given: tuple[str, Moment]) -> Decision:
    digest, moment = given
    return Decision(
        inputs_digest=digest,
        policy="forecast" if found.why[each] in (Why.FORECAST, Why.PRE_DRAIN) else "reactive",
        knob="buffer",
        subject=name,
        old=change[0],
        new=change[1],
        unit="bytes",
        reason=found.reason(each),
        alternatives=(
            Alternative(policy="static", value=int(found.static_bytes[each])),
            Alternative(policy="reactive", value=int(found.reactive_bytes[each])),
        ),
        decided_at_millis=moment.wall_millis,
        expires_at_millis=moment.wall_millis + moment.lease_millis,
    )
