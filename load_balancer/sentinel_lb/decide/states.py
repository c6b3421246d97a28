"""How each backend is, from what the mesh, the probes and the user say of it: what the kernel is told, and why.

ready      speaks, and its numbers are fresh
busy       lives, but says nothing fresh: its room counts as unknown
draining   keeps its flows, gets no new ones
dead       probes unanswered and the mesh silent or suspicious: the kernel moves its flows by itself
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from sentinel_api.records import CLASSES, Flag
from sentinel_lb.decide.weights import State
from sentinel_mesh.membership import Level, Probe

if TYPE_CHECKING:
    from sentinel_api.records import NodeState
    from sentinel_lb.decide.seats import Seat

FRESH_NS: Final = 500_000_000
NOTHING: Final = (0,) * CLASSES
LOAD_SCALE: Final = 1000  # the kernel compares whole numbers


class Heard(Protocol):
    """A member of the mesh, as far as it matters here."""

    @property
    def level(self) -> Level: ...
    @property
    def state(self) -> NodeState | None: ...
    @property
    def heard_ns(self) -> int | None: ...
    @property
    def speaks(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Standing:
    """What the kernel gets of one backend, and the sentence for people. `room_ns` 0: its room is unknown."""

    seat: Seat
    state: State
    reason: str
    present: bool
    draining: bool
    suspected: bool
    mesh_ns: int
    load: int
    room_ns: int
    room: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Evidence:
    """`ended` says why a drain is over: then what is left of its flows moves. `way` says why there is none to it.

    `was` is its state before: the dead stay so until somebody speaks for them, however unsure the prober is meanwhile.
    """

    member: Heard | None = None
    probe: Probe = Probe.UNKNOWN
    ended: str = ""
    way: str = ""
    was: State | None = None


def standing(seat: Seat, seen: Evidence, now_ns: int) -> Standing:
    member, ended, way = seen.member, seen.ended, seen.way
    state = member.state if member is not None else None
    draining = seat.drains_since_ns is not None or (state is not None and bool(state.flags & Flag.DRAINING))
    heard_ns = (member.heard_ns or 0) if member is not None else 0
    suspected = member is not None and not member.speaks
    fresh = state is not None and member is not None and member.level is Level.ALIVE and now_ns - heard_ns <= FRESH_NS
    if way:
        found, reason = State.DEAD, way
    else:
        unsure = seen.probe is Probe.UNKNOWN and seen.was is State.DEAD
        believed = Probe.FAILING if unsure else seen.probe
        found, reason = _judged(member, believed, fresh=fresh, draining=draining, ended=ended)
    return Standing(
        seat=seat,
        state=found,
        reason=reason,
        present=not ended and not way,
        draining=draining,
        suspected=suspected,
        mesh_ns=heard_ns,
        load=round(state.load * LOAD_SCALE) if state is not None else 0,
        room_ns=heard_ns if fresh else 0,
        room=tuple(each.headroom_bytes for each in state.classes) if fresh and state is not None else NOTHING,
    )


def _judged(member: Heard | None, probe: Probe, *, fresh: bool, draining: bool, ended: str) -> tuple[State, str]:
    level = member.level if member is not None else None
    silent = member is None or not member.speaks
    if ended:
        return State.DRAINING, f"drained: {ended}"
    if probe is Probe.FAILING and silent:
        return State.DEAD, "probes are not answered, and the mesh does not hear it"
    if draining:
        return State.DRAINING, "drains: keeps its flows, gets no new ones"
    if fresh:
        return State.READY, "answers probes and speaks" if probe is Probe.GOOD else "speaks"
    if level is Level.HEADLESS:
        return State.BUSY, "headless: answers probes, its agent is silent"
    return State.BUSY, "never heard in the mesh" if level is None else f"{level.value}: says nothing fresh"
