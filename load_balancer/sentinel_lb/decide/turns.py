"""Told first, then moved: a node that comes, drains or returns changes where new flows go only when those who will get
them have heard of it and had the time to make room.

What the balancer intends is told at once (intent.py). The kernel follows when every node that may get more has ticked
a few times since, or when that takes too long: whoever drains may not be held up by somebody who is late or silent.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from sentinel_lb.decide.weights import State

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sentinel_lb.decide.states import Heard, Standing

TICKS: Final = 3
"""The first word after the news may have been under way before it, and the second's tick may have begun before it."""

LONGEST_NS: Final = 1_000_000_000

Ticks = dict[str, int]


@dataclass(frozen=True, slots=True)
class Turn:
    """Since when a change is told, and how far the nodes had counted their ticks then."""

    told_ns: int
    ticks: Ticks

    def over(self, ticks: Ticks, now_ns: int) -> bool:
        """A node that began anew counts from the beginning: it is waited for no longer than anybody else may take."""
        if now_ns - self.told_ns >= LONGEST_NS:
            return True
        return all(each - self.ticks[name] >= TICKS for name, each in ticks.items() if name in self.ticks)

    def counted_from(self, ticks: Ticks) -> Turn:
        """A node that was never heard counts from its first word: how far it had come by then says nothing about the
        news, since nobody knows how far it was when they were told."""
        first = {name: ticks[name] for name, each in self.ticks.items() if not each and ticks.get(name)}
        return replace(self, ticks={**self.ticks, **first}) if first else self


@dataclass(frozen=True, slots=True)
class Turns:
    """`closed` are those whom the kernel gives no new flows; `known` None: this balancer has just begun."""

    known: frozenset[str] | None = None
    closed: frozenset[str] = frozenset()
    pending: Mapping[str, Turn] = field(default_factory=dict)


def turns(before: Turns, standings: Sequence[Standing], ticks: Ticks, now_ns: int) -> Turns:
    """What a balancer finds when it begins stands as it is: its predecessor's packets went there."""
    known = frozenset(each.seat.spec.name for each in standings)
    asked = frozenset(each.seat.spec.name for each in standings if each.draining)
    if before.known is None:
        return Turns(known, asked)
    closed = (before.closed & known) | (known - before.known)
    told = {name: before.pending.get(name) or Turn(now_ns, ticks) for name in closed ^ asked}
    pending = {name: turn.counted_from(ticks) for name, turn in told.items()}
    done = {name for name, turn in pending.items() if turn.over(ticks, now_ns)}
    return Turns(known, closed ^ done, {name: turn for name, turn in pending.items() if name not in done})


def in_force(standings: Sequence[Standing], found: Turns) -> tuple[Standing, ...]:
    """As the kernel is told them, and people: what is only decided is not so yet."""
    return tuple(
        _before_its_turn(each, closed=each.seat.spec.name in found.closed)
        if each.seat.spec.name in found.pending
        else each
        for each in standings
    )


def _before_its_turn(each: Standing, *, closed: bool) -> Standing:
    if each.state is State.DEAD:
        return replace(each, draining=closed)
    if closed:
        return replace(
            each, draining=True, state=State.DRAINING, reason="gets new flows when it has made room for them"
        )
    state = State.READY if each.room_ns else State.BUSY
    return replace(each, draining=False, state=state, reason="drains when the others have made room for its new flows")


def ticks_of(standings: Sequence[Standing], members: Mapping[str, Heard]) -> Ticks:
    """Of those that get new flows, as far as they were heard; 0 where nothing ever was."""
    open_ = [each.seat.spec.name for each in standings if each.state in (State.READY, State.BUSY)]
    return {name: _counted(members.get(name)) for name in open_}


def _counted(member: Heard | None) -> int:
    return 0 if member is None or member.state is None else member.state.seq
