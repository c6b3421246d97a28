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
    from collections.abc import Mapping, Sequence

    from sentinel_api.v1alpha1.nodeconfig import NodeConfig

UNMATCHED: Final = 0
UNMATCHED_NAME: Final = "unmatched"
FRAME_BYTES: Final = 1514
MIN_LIMIT_BYTES: Final = 2 * FRAME_BYTES
"""Below two frames a queue is a policer; the one bound that even the cap on delay does not undercut. A device with
larger frames has a larger one, or none of those would get in."""

POLICIES: Final = {Why.FORECAST: "forecast", Why.PRE_DRAIN: "forecast", Why.WARNED: "precursor", Why.LENT: "pool"}
"""Who decided, by what the last byte is for; everything else is the reactive rule's."""

GROWN_IN_TICKS: Final = 4
"""A forecast or loan takes the whole pool in so many ticks at the soonest: room is made seconds ahead, and what one
wrong answer can move stays bounded. Floors and present needs are granted at once."""

TARGET_SHARE: Final = 0.5
"""Senders are marked from this share of the longest allowed wait on, so that most slow down before any is dropped."""


COLUMNS: Final = {"floor_bytes": 0, "max_delay_millis": 0, "priority": 7, "weight": 1, "drop_cost": 1}
"""Of a profile, with what stands for the ids that no class has: they want nothing and get nothing."""

NO_CEILING: Final = 1 << 40


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """What a configuration fixes until the next one: names, limits, and how packets are treated.

    A row is a class on an interface: interface number x `CLASSES` + class id.
    """

    names: Mapping[int, str]
    """By row; with several interfaces the name says which."""
    limits: Limits
    mark: bool
    share_bps: np.ndarray[tuple[int], np.dtype[np.float64]]
    """Each row's share of its interface's rate by weight: its drain until one is measured."""


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


def least_limit(frame_bytes: int) -> int:
    """Of every class on a device with frames up to this."""
    return 2 * max(FRAME_BYTES, frame_bytes)


def standing(
    config: NodeConfig, *rates_bytes_per_s: int, devices: Sequence[str] = (), frames_bytes: Sequence[int] = ()
) -> Standing:
    """For interfaces of these rates, which share the pool. `devices` names them where there are several;
    `frames_bytes` are the largest frames of each, ordinary ones where nothing is said."""
    profiles = {config.ids[each.name]: each.resolved for each in config.traffic_classes}
    profiles.setdefault(UNMATCHED, PROFILES["network"])
    lanes = len(rates_bytes_per_s)
    column = {
        name: np.tile([getattr(profiles[i], name) if i in profiles else unused for i in range(CLASSES)], lanes)
        for name, unused in COLUMNS.items()
    }
    weights = np.array([profiles[i].weight if i in profiles else 0 for i in range(CLASSES)], np.float64)
    used = np.array([i in profiles for i in range(CLASSES)])
    leasts = [least_limit(each) for each in frames_bytes or [FRAME_BYTES] * lanes]
    least = np.concatenate([used * each for each in leasts])
    return Standing(
        names=_names(config, lanes, devices),
        limits=Limits(
            pool_bytes=config.pool.max_bytes,
            lend_bytes=config.pool.min_bytes,
            floor_bytes=np.maximum(column["floor_bytes"], least),
            max_delay_us=column["max_delay_millis"] * 1000,
            priority=column["priority"],
            weight=column["weight"],
            drop_cost=column["drop_cost"],
            least_bytes=least,
            ceiling_bytes=np.concatenate([np.maximum(_ceilings(config), each) for each in leasts]),
            grow_step_bytes=config.pool.max_bytes // GROWN_IN_TICKS,
        ),
        mark=config.data_plane.ecn,
        share_bps=np.concatenate([rate * weights / weights.sum() for rate in rates_bytes_per_s]),
    )


def class_names(config: NodeConfig) -> dict[int, str]:
    """By id, the unmatched traffic among them."""
    return {config.ids[each.name]: each.name for each in config.traffic_classes} | {UNMATCHED: UNMATCHED_NAME}


def _names(config: NodeConfig, lanes: int, devices: Sequence[str]) -> dict[int, str]:
    return {
        lane * CLASSES + each: f"{name} on {devices[lane]}" if lanes > 1 else name
        for lane in range(lanes)
        for each, name in class_names(config).items()
    }


def _ceilings(config: NodeConfig) -> list[int]:
    named = {config.ids[each.name]: each.ceiling_bytes or NO_CEILING for each in config.traffic_classes}
    return [named.get(each, NO_CEILING) for each in range(CLASSES)]


def decide(rules: Standing, seen: Seen, outlook: Outlook | None, held: Held, moment: Moment) -> Chosen:
    """Pure: the same inputs give the same orders, whoever asks and whenever."""
    found = allocate(rules.limits, seen, outlook, held)
    limits, before = found.limit_bytes.tolist(), held.limit_bytes.tolist()
    limit = {each: limits[each] for each in rules.names}
    moved = [each for each in rules.names if limits[each] != before[each]]
    digest = _digest(seen, held) if moved else ""
    decisions = tuple(
        _decision(rules.names[each], found, each, (before[each], limits[each]), (digest, moment)) for each in moved
    )
    return Chosen(_orders(rules, found, seen), limit, decisions, found)


def _digest(seen: Seen, held: Held) -> str:
    return inputs_digest(seen.arrivals.tobytes() + seen.backlog_bytes.tobytes() + held.limit_bytes.tobytes())


def _orders(rules: Standing, found: Allocation, seen: Seen) -> dict[int, Order]:
    """Whole columns at once: a tick orders up to 128 queues."""
    longest = rules.limits.max_delay_us
    # Senders of a class that gives way are told early: not only its arrivals are refused.
    soon = found.limit_bytes * 1e6 / np.maximum(seen.drain, 1.0)
    longest = np.where(found.draining & (seen.drain > 0), np.minimum(longest, soon), longest)
    target, drain = (longest * TARGET_SHARE).astype(np.int64).tolist(), seen.drain.astype(np.int64).tolist()
    burst, limit = found.burst.tolist(), found.limit_bytes.tolist()
    return {
        each: Order(
            max_bytes=limit[each],
            drain_bytes_per_s=drain[each],
            target_us=target[each],
            gains=pid.BURST if burst[each] else pid.CALM,
            police=False,  # the real queue refuses what is over the limit; the virtual one would refuse it twice
            mark=rules.mark,
        )
        for each in rules.names
    }


def _decision(name: str, found: Allocation, each: int, change: tuple[int, int], given: tuple[str, Moment]) -> Decision:
    digest, moment = given
    return Decision(
        inputs_digest=digest,
        policy=POLICIES.get(Why(int(found.why[each])), "reactive"),
        knob="buffer",
        subject=name,
        old=change[0],
        new=change[1],
        unit="bytes",
        reason=found.reason(each),
        alternatives=(
            Alternative(policy="static", value=int(found.static_bytes[each])),
            Alternative(policy="reactive", value=int(found.reactive_bytes[each])),
            Alternative(policy="forecast", value=int(found.forecast_bytes[each])),
        ),
        decided_at_millis=moment.wall_millis,
        expires_at_millis=moment.wall_millis + moment.lease_millis,
    )
