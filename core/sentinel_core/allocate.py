"""The flow stabilisation unit: from what is seen and expected of every class to the room each may take.

All classes at once, a pure function of its inputs. In the order of service:

    least → floors → flows' floors → reactive need (by priority, each followed by what may come at once)
          → forecast need (+ signs, pre-drain) → keep (hysteresis) → lend

Each stage shares only what the stages before it left, so a wrong forecast cannot take what the reactive rule would
have had; the one exception is pre-drain, which takes from classes that lose least, and never below their floor.
What the stages grant is then held against the memory really free: bytes that are queued cannot be given away, only
be refused successors until they have left.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from sentinel_core import hedge, reactive, stages
from sentinel_core.room import BYTES_MAX, Allocation, Held, Why
from sentinel_core.sample import PERIOD_NS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sentinel_core.room import Bools, Floats, Ints, Limits, Outlook, Seen

LEAD_SECONDS: Final = 2
"""Room is made for onsets within this time: a tick suffices to grow, the rest lets standing queues drain."""

LIKELY: Final = 0.5
"""From this chance on a burst counts as expected: others are drained for it, and the gains turn to burst."""

FORECAST_OUTLASTS_NS: Final = 1_000_000_000
"""Room for a likely burst stays its due so long after it stopped being likely. A forecast foretells onsets: it goes
silent when the burst begins, and what was drained must not fill again while the burst is arriving."""

FORECAST_MAX_AGE_NS: Final = 5 * PERIOD_NS
"""An older forecast is expired, as long as a lease lives; so is one from the future."""

WARNED_PERIODS: Final = 4
"""By so many periods a full set of signs has a class's trend followed further ahead: twice what is seen anyway."""


def allocate(limits: Limits, seen: Seen, outlook: Outlook | None, held: Held) -> Allocation:
    """One tick. Without an outlook, or with an expired one, it is the reactive rule with hysteresis."""
    cap = _cap(limits, seen)
    expected = _expected(limits, seen, outlook, held)
    floor = np.maximum(limits.floor_bytes, seen.flow_floor_bytes)
    present = np.where(seen.measured, _present(limits, seen, held), held.limit_bytes)
    ready = np.where(seen.measured, np.minimum(present + _beyond_floor(limits, seen), BYTES_MAX), present)
    floors = _floors(limits, floor, cap)
    reacted = stages.reacted(limits, floors, np.minimum(present, cap), np.minimum(ready, cap))
    within_step = np.maximum(np.minimum(held.limit_bytes + limits.grow_step_bytes, cap), reacted)
    ahead = _signs_say(seen, held, present)
    due = np.maximum(expected.due_bytes, ahead)
    justified, draining = stages.pre_drained(limits, expected.likely, floors, reacted, np.minimum(due, within_step))
    kept, needed_ns = _kept(limits, seen, held, justified, np.where(draining, 0, cap))
    ideal = stages.lent(limits, kept, np.where(draining, 0, within_step))

    served = (reacted, justified, kept, ideal)
    limit = stages.into_free_memory(limits, seen, floors, present, served)
    needed = np.maximum(np.maximum(ready, due), floor)
    why = _why(seen, limit, (floors, *served), _Bounds(limits, cap, needed, draining))
    return Allocation(
        limit_bytes=limit,
        cap_bytes=cap,
        why=np.where((why == Why.FORECAST) & (ahead > expected.due_bytes), Why.WARNED, why).astype(np.int8),
        burst=expected.likely | (ahead > 0) | ((seen.arrivals > seen.drain) & (seen.backlog_bytes > floors)),
        draining=draining,
        static_bytes=floors,
        reactive_bytes=stages.into_free_memory(limits, seen, floors, present, (reacted,)),
        forecast_bytes=justified,
        lent_bytes=np.maximum(limit - kept, 0),
        held=Held(
            limit_bytes=limit,
            kept_bytes=np.minimum(kept, limit),
            needed_ns=needed_ns,
            arrivals=np.where(seen.measured, seen.arrivals, held.arrivals),
            backlog_bytes=np.where(seen.measured, seen.backlog_bytes, held.backlog_bytes),
            foreseen_bytes=expected.foreseen_bytes,
            foreseen_ns=expected.foreseen_ns,
        ),
    )


def _cap(limits: Limits, seen: Seen) -> Ints:
    """What the class may wait at its drain, within its ceiling; two frames in any case."""
    cap = _bytes(limits.max_delay_us * _rates(seen.drain) / 1e6, round_up=False)
    if limits.ceiling_bytes is not None:
        cap = np.minimum(cap, limits.ceiling_bytes)
    return cap if limits.least_bytes is None else np.maximum(cap, limits.least_bytes)


def _floors(limits: Limits, floor: Ints, cap: Ints) -> Ints:
    """What a user configured comes before what flows are found to need: a peer can pretend a long round trip."""
    least = np.zeros_like(cap) if limits.least_bytes is None else limits.least_bytes
    configured = stages.share(limits, least, np.minimum(limits.floor_bytes, cap))
    return stages.share(limits, configured, np.minimum(floor, cap))


def _present(limits: Limits, seen: Seen, held: Held) -> Ints:
    """What the reactive rule asks for. The floor stays free above what is queued and coming, since a burst that nobody
    foresaw begins within a period."""
    need: Ints = np.minimum(_need(seen, held, None) + limits.floor_bytes, BYTES_MAX)
    return need


def _beyond_floor(limits: Limits, seen: Seen) -> Ints:
    """What a period has lately brought at once, where the floor is less: then that stays free instead."""
    if seen.sudden_bytes is None:
        return np.zeros_like(limits.floor_bytes)
    beyond: Ints = np.maximum(_bytes(_rates(seen.sudden_bytes), round_up=True) - limits.floor_bytes, 0)
    return beyond


def _need(seen: Seen, held: Held, reach_periods: Floats | None) -> Ints:
    first = np.isnan(held.arrivals)
    waiting = seen.backlog_bytes.astype(np.float64)
    if seen.refused_bytes is not None:
        waiting += _rates(seen.refused_bytes)
    before = np.where(first, waiting, held.backlog_bytes)
    arrivals, earlier = _rates(seen.arrivals), _rates(np.where(first, seen.arrivals, held.arrivals))
    need = reactive.need_bytes(arrivals, earlier, _rates(seen.drain), waiting, reach_periods=reach_periods)
    return _bytes(np.maximum(need, reactive.going_on_bytes(waiting, before, reach_periods)), round_up=True)


def _signs_say(seen: Seen, held: Held, present: Ints) -> Ints:
    """Room beyond the present need where there are signs of a burst, or one is announced: the trend is followed
    further, never further back. It is served with the forecasts, so it takes nothing from what the reactive rule
    gives."""
    nothing = np.zeros(len(present))
    warning = nothing if seen.warning is None else np.clip(seen.warning, 0.0, 1.0)
    announced = nothing if seen.announced is None else _rates(seen.announced)
    told = ((warning > 0) | (announced > seen.arrivals)) & seen.measured
    if not told.any():
        return np.zeros_like(present)
    coming = replace(seen, arrivals=np.maximum(seen.arrivals, announced))
    ahead = np.where(told, _need(coming, held, reactive.REACH_PERIODS + WARNED_PERIODS * warning), 0)
    return np.where(ahead > present, ahead, 0)


def _kept(limits: Limits, seen: Seen, held: Held, justified: Ints, cap: Ints) -> tuple[Ints, Ints]:
    """What stays of earlier room, and when it was last needed: hysteresis in time, then in steps."""
    needed_ns = np.where(2 * justified > held.kept_bytes, seen.now_ns, held.needed_ns)
    resting = seen.now_ns - needed_ns < limits.refractory_ns
    memory = np.where(resting, held.kept_bytes, held.kept_bytes - limits.shrink_step_bytes)
    return stages.share(limits, justified, np.minimum(memory, cap)), needed_ns


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
        nobody = np.zeros(len(held.limit_bytes), np.bool_)
        return _Expected(np.zeros(len(nobody), np.int64), nobody, held.foreseen_bytes, held.foreseen_ns)
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


@dataclass(frozen=True, slots=True, eq=False)
class _Bounds:
    """What may hold a limit below what is needed."""

    limits: Limits
    cap: Ints
    needed: Ints
    draining: Bools


def _why(seen: Seen, limit: Ints, served: tuple[Ints, ...], bounds: _Bounds) -> NDArray[np.int8]:
    """The first stage that explains the whole limit, unless something held it below what is needed."""
    whys = [Why.FLOOR, Why.REACTIVE, Why.FORECAST, Why.KEPT, Why.LENT]
    why = np.select([limit <= stage for stage in served], whys, Why.LENT)
    ceiling = bounds.limits.ceiling_bytes
    full = Why.CAPPED if ceiling is None else np.where(limit >= ceiling, Why.CEILING, Why.CAPPED)
    why = np.where(limit < bounds.needed, np.where(limit < bounds.cap, Why.SHORT, full), why)
    why = np.where(bounds.draining, Why.PRE_DRAIN, why)
    return np.where(seen.measured, why, Why.UNMEASURED).astype(np.int8)


def _rates(rates: Floats) -> Floats:
    """A rate nobody could measure is none."""
    # Not `nan_to_num` and `clip`: they take three times as long, and every tick pays.
    return np.where(rates > 0, np.minimum(rates, float(BYTES_MAX)), 0.0)


def _bytes(amount: Floats, *, round_up: bool) -> Ints:
    whole = np.ceil(amount) if round_up else np.floor(amount)
    return np.minimum(np.maximum(whole, 0), BYTES_MAX).astype(np.int64)
