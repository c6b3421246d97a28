"""The flow stabilisation unit: from what is seen and expected of every class to the room each may take.

All classes at once, a pure function of its inputs. In the order of service:

    floors → reactive need → forecast need (+ pre-drain) → keep (hysteresis) → lend

Each stage shares only what the stages before it left, so a wrong forecast cannot take what the reactive rule would
have had; the one exception is pre-drain, which takes from classes that lose least, and never below their floor.
What the stages grant is then held against the memory really free: bytes that are queued cannot be given away, only
be refused successors until they have left.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Final

import numpy as np

from sentinel_api.errors import Invalid
from sentinel_api.records import CLASSES
from sentinel_core import hedge, reactive
from sentinel_core.filling import fill
from sentinel_core.sample import PERIOD_NS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sentinel_core.forecast import Forecast

    Ints = NDArray[np.int64]
    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

LEAD_SECONDS: Final = 2
"""Room is made for onsets within this time: a tick suffices to grow, the rest lets standing queues drain."""

LIKELY: Final = 0.5
"""From this chance on a burst counts as expected: others are drained for it, and the gains turn to burst."""

YIELDING_DROP_COST: Final = 20
"""Classes whose lost byte costs no more than this many held ones (bulk, telemetry) are drained for others."""

FORECAST_OUTLASTS_NS: Final = 1_000_000_000
"""Room for a likely burst stays its due so long after it stopped being likely. A forecast foretells onsets: it goes
silent when the burst begins, and what was drained must not fill again while the burst is arriving."""

FORECAST_MAX_AGE_NS: Final = 5 * PERIOD_NS
"""An older forecast is expired, as long as a lease lives; so is one from the future."""

BYTES_MAX: Final = 1 << 40
"""Amounts are clamped to 1 TiB, so that amount times weight stays exact in 64 bits."""


class Why(IntEnum):
    """What the last byte of a class's room is for; the text is shown to people."""

    FLOOR = 0
    REACTIVE = 1
    FORECAST = 2
    KEPT = 3
    LENT = 4
    CAPPED = 5
    PRE_DRAIN = 6
    SHORT = 7
    UNMEASURED = 8


REASONS: Final = {
    Why.FLOOR: "calm: its floor is enough",
    Why.REACTIVE: "what is queued and the present trend need it",
    Why.FORECAST: "a burst is forecast",
    Why.KEPT: "kept for a while after it was last needed",
    Why.LENT: "lent from what nobody needs, recalled on demand",
    Why.CAPPED: "more would make the class wait longer than it may",
    Why.PRE_DRAIN: "gives way before a burst forecast for a class that loses more",
    Why.SHORT: "the pool has no more: classes of higher priority or queued bytes take it",
    Why.UNMEASURED: "not measured: left as it was",
}


@dataclass(frozen=True, slots=True, eq=False)
class Limits:
    """What the spec allows, one entry a class. Priority 0 goes first; `drop_cost` is against 1 for a byte held."""

    pool_bytes: int
    lend_bytes: int
    """Room is lent only while all together hold less than this: the pool's calm size."""
    floor_bytes: Ints
    max_delay_us: Ints
    priority: Ints
    weight: Ints
    drop_cost: Ints
    grow_step_bytes: int = BYTES_MAX
    """Most that forecast and loan add in a tick; floors and reactive needs are granted at once."""
    shrink_step_bytes: int = 1 << 18
    refractory_ns: int = 2_000_000_000
    """Room is kept so long after it was last needed, if nobody else needs it, and then shrinks by steps."""

    def __post_init__(self) -> None:
        if not 0 <= self.pool_bytes <= BYTES_MAX or self.lend_bytes < 0:
            raise Invalid(f"a pool of {self.pool_bytes} bytes cannot be shared: give 0 to {BYTES_MAX}")
        if not ((self.weight >= 1) & (self.weight <= 1000)).all():
            raise Invalid("a weight of a class is out of bounds: give 1 to 1000")
        if not (self.drop_cost >= 1).all() or not (self.floor_bytes >= 0).all() or not (self.max_delay_us >= 0).all():
            raise Invalid("a floor or delay is negative or a drop cost below 1: correct the class")


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What was measured; rates in bytes per second. `flow_floor_bytes` is Σ flow BDP / √flows from the flow table."""

    now_ns: int
    arrivals: Floats
    drain: Floats
    backlog_bytes: Ints
    flow_floor_bytes: Ints
    measured: Bools


@dataclass(frozen=True, slots=True, eq=False)
class Outlook:
    """The forecast, and how far it is trusted per class: the live score from 0 (below the gate) to 1."""

    forecast: Forecast
    trust: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """What one tick hands to the next."""

    limit_bytes: Ints
    kept_bytes: Ints
    """Without what was lent."""
    needed_ns: Ints
    arrivals: Floats
    foreseen_bytes: Ints
    foreseen_ns: Ints
    """What the last likely burst was due, and when it was last likely."""


@dataclass(frozen=True, slots=True, eq=False)
class Allocation:
    """The room of each class, why, and what other rules would have given from the same inputs."""

    limit_bytes: Ints
    cap_bytes: Ints
    why: NDArray[np.int8]
    burst: Bools
    """Gains of the burst set are due: a burst is expected or present."""
    draining: Bools
    """The class gives way: its target delay should fall with its limit, so that its senders are marked early."""
    static_bytes: Ints
    reactive_bytes: Ints
    forecast_bytes: Ints
    """Alternatives: the floors alone, with the reactive rule, with the forecast but neither kept nor lent."""
    lent_bytes: Ints
    held: Held

    def reason(self, index: int) -> str:
        return REASONS[Why(int(self.why[index]))]


def start(now_ns: int) -> Held:
    """Before the first tick nothing is held, and there is no earlier rate to take a slope from."""
    zeros = np.zeros(CLASSES, np.int64)
    now = np.full(CLASSES, now_ns)
    return Held(zeros, zeros, needed_ns=now, arrivals=np.full(CLASSES, np.nan), foreseen_bytes=zeros, foreseen_ns=now)


def allocate(limits: Limits, seen: Seen, outlook: Outlook | None, held: Held) -> Allocation:
    """One tick. Without an outlook, or with an expired one, it is the reactive rule with hysteresis."""
    cap = _bytes(limits.max_delay_us * _rates(seen.drain) / 1e6, round_up=False)
    expected = _expected(limits, seen, outlook, held)
    present = np.where(seen.measured, _reactive_need(seen, held), held.limit_bytes)
    floor = np.maximum(limits.floor_bytes, seen.flow_floor_bytes)
    floors = _share(limits, np.zeros_like(cap), np.minimum(floor, cap))
    reacted = _share(limits, floors, np.minimum(present, cap))
    within_step = np.maximum(np.minimum(held.limit_bytes + limits.grow_step_bytes, cap), reacted)
    wanted = np.minimum(expected.due_bytes, within_step)
    justified, draining = _pre_drained(limits, expected.likely, floors, reacted, wanted)

    needed_ns = np.where(justified >= held.kept_bytes, seen.now_ns, held.needed_ns)
    resting = seen.now_ns - needed_ns < limits.refractory_ns
    memory = np.where(resting, held.kept_bytes, held.kept_bytes - limits.shrink_step_bytes)
    kept = _share(limits, justified, np.where(draining, 0, np.minimum(memory, cap)))
    lendable = np.where(draining, 0, within_step)
    ideal = _lent(limits, kept, lendable)

    stages = (reacted, justified, kept, ideal)
    limit = _into_free_memory(limits, seen, floors, stages)
    return Allocation(
        limit_bytes=limit,
        cap_bytes=cap,
        why=_why(
            seen, limit, (floors, *stages), cap, np.maximum(np.maximum(present, expected.due_bytes), floor), draining
        ),
        burst=expected.likely | ((seen.arrivals > seen.drain) & (seen.backlog_bytes > floors)),
        draining=draining,
        static_bytes=floors,
        reactive_bytes=_into_free_memory(limits, seen, floors, (reacted,)),
        forecast_bytes=justified,
        lent_bytes=np.maximum(limit - kept, 0),
        held=Held(
            limit_bytes=limit,
            kept_bytes=np.minimum(kept, limit),
            needed_ns=needed_ns,
            arrivals=np.where(seen.measured, seen.arrivals, held.arrivals),
            foreseen_bytes=expected.foreseen_bytes,
            foreseen_ns=expected.foreseen_ns,
        ),
    )


def _reactive_need(seen: Seen, held: Held) -> Ints:
    earlier = np.where(np.isnan(held.arrivals), seen.arrivals, held.arrivals)
    backlog = seen.backlog_bytes.astype(np.float64)
    need = reactive.need_bytes(_rates(seen.arrivals), _rates(earlier), _rates(seen.drain), backlog)
    return _bytes(need, round_up=True)


@dataclass(frozen=True, slots=True, eq=False)
class _Expected:
    """What the forecast asks for: total room due, for whom a burst is likely, and what the next tick must remember."""

    due_bytes: Ints
    likely: Bools
    foreseen_bytes: Ints
    foreseen_ns: Ints


def _expected(limits: Limits, seen: Seen, outlook: Outlook | None, held: Held) -> _Expected:
    """Nothing is due when the forecast is missing or expired, nor where it is not trusted."""
    if outlook is None or not 0 <= seen.now_ns - outlook.forecast.made_ns <= FORECAST_MAX_AGE_NS:
        nobody = np.zeros(CLASSES, np.bool_)
        return _Expected(np.zeros(CLASSES, np.int64), nobody, held.foreseen_bytes, held.foreseen_ns)
    trust = np.where(outlook.trust > 0, np.minimum(outlook.trust, 1.0), 0.0)
    chance = outlook.forecast.burst_within(LEAD_SECONDS) * trust
    room = hedge.room_bytes(chance, outlook.forecast.magnitude_bytes, limits.drop_cost.astype(np.float64))
    wanted = np.where(room > 0, seen.backlog_bytes + _bytes(room, round_up=True), 0)
    likely = chance >= LIKELY
    lasting = (trust > 0) & (held.foreseen_bytes > 0) & (seen.now_ns - held.foreseen_ns < FORECAST_OUTLASTS_NS)
    renewed = likely & ((wanted >= held.foreseen_bytes) | ~lasting)
    return _Expected(
        due_bytes=np.where(lasting, np.maximum(wanted, held.foreseen_bytes), wanted),
        likely=likely | lasting,
        foreseen_bytes=np.where(renewed, wanted, held.foreseen_bytes),
        foreseen_ns=np.where(renewed, seen.now_ns, held.foreseen_ns),
    )


def _share(limits: Limits, granted: Ints, wanted: Ints) -> Ints:
    """One stage: what is left of the pool goes to those who want more than they have."""
    left = limits.pool_bytes - int(granted.sum())
    return granted + fill(left, np.maximum(wanted - granted, 0), limits.priority, limits.weight)


def _pre_drained(limits: Limits, likely: Bools, floors: Ints, reacted: Ints, wanted: Ints) -> tuple[Ints, Bools]:
    """The forecast's stage, and who gives way: where the pool falls short of a likely burst, yielding classes of a
    later priority give what they have above their floor, the last priority first."""
    granted = _share(limits, reacted, wanted)
    yielding = limits.drop_cost <= YIELDING_DROP_COST
    short = np.where(likely & ~yielding, np.maximum(wanted - granted, 0), 0)
    draining = np.zeros(CLASSES, np.bool_)
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


def _lent(limits: Limits, kept: Ints, ceiling: Ints) -> Ints:
    """What is left of the pool's calm size is lent evenly: loans know neither priority nor weight."""
    left = min(limits.lend_bytes, limits.pool_bytes) - int(kept.sum())
    if left <= 0:
        return kept
    even = np.ones_like(kept)
    return kept + fill(left, np.maximum(ceiling - kept, 0), even, even)


def _into_free_memory(limits: Limits, seen: Seen, floors: Ints, stages: tuple[Ints, ...]) -> Ints:
    """The stages' grants as far as memory is free of queued bytes; growth is served stage by stage.

    Room up to what a class holds already costs nothing. A class that is to shrink is cut at once, but its queued bytes
    count until they have left.
    """
    limit = np.minimum(stages[-1], np.maximum(floors, seen.backlog_bytes))
    free = limits.pool_bytes - int(np.maximum(limit, seen.backlog_bytes).sum())
    for stage in stages:
        if free <= 0:
            break
        grown = fill(free, np.maximum(np.minimum(stage, stages[-1]) - limit, 0), limits.priority, limits.weight)
        limit, free = limit + grown, free - int(grown.sum())
    return limit


def _why(
    seen: Seen, limit: Ints, stages: tuple[Ints, ...], cap: Ints, needed: Ints, draining: Bools
) -> NDArray[np.int8]:
    """The first stage that explains the whole limit, unless something held it below what is needed."""
    whys = [Why.FLOOR, Why.REACTIVE, Why.FORECAST, Why.KEPT, Why.LENT]
    why = np.select([limit <= stage for stage in stages], whys, Why.LENT)
    below = limit < needed
    why = np.where(below, np.where(limit < cap, Why.SHORT, Why.CAPPED), why)
    why = np.where(draining, Why.PRE_DRAIN, why)
    return np.where(seen.measured, why, Why.UNMEASURED).astype(np.int8)


def _rates(rates: Floats) -> Floats:
    """A rate nobody could measure is none."""
    # Not `nan_to_num` and `clip`: they take three times as long, and every tick pays.
    return np.where(rates > 0, np.minimum(rates, float(BYTES_MAX)), 0.0)


def _bytes(amount: Floats, *, round_up: bool) -> Ints:
    whole = np.ceil(amount) if round_up else np.floor(amount)
    return np.minimum(np.maximum(whole, 0), BYTES_MAX).astype(np.int64)
