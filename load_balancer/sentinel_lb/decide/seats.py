"""Which number each backend has in the kernel's tables: it keeps its own for life, and takes none that is still used.

A number that is given again gets another generation, so that flows of its former owner do not follow it. A backend
that is taken out of the configuration stays seated while its flows live, at most as long as a drain may take.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from sentinel_api.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sentinel_api.v1alpha1.balancerconfig import BackendSpec

IDLE_NS: Final = 30_000_000_000
"""A drained node to which nothing was sent for so long has no flows left that are worth waiting for."""

LAST_NUMBER: Final = 1023
"""SN_LB_BACKENDS - 1."""

Key = tuple[str, str]  # name and address: under another address it is another node


@dataclass(frozen=True, slots=True)
class Seat:
    """`drains_since_ns` is None for a backend that takes new flows; `listed` is False once the configuration forgot
    it."""

    number: int
    generation: int
    spec: BackendSpec
    listed: bool = True
    drains_since_ns: int | None = None

    @property
    def key(self) -> Key:
        return (self.spec.name, self.spec.address)


@dataclass(frozen=True, slots=True)
class Found:
    """What an earlier balancer left in the kernel's tables at a number."""

    address: str
    generation: int


Seats = dict[Key, Seat]


def seated(before: Mapping[Key, Seat], wanted: Sequence[BackendSpec], found: Mapping[int, Found], now_ns: int) -> Seats:
    """`found` is the tables' content by number: a successor gives the same address its old number again."""
    kept = {
        seat.key: seat
        for spec in wanted
        if (seat := _kept(before.get((spec.name, spec.address)), spec, now_ns)) is not None
    }
    leaving = {key: _leaving(seat, now_ns) for key, seat in before.items() if key not in kept}
    taken = {seat.number for seat in (*kept.values(), *leaving.values())}
    by_address = {each.address: number for number, each in sorted(found.items(), reverse=True)}
    fresh: Seats = {}
    for spec in wanted:
        if (spec.name, spec.address) in kept:
            continue
        number = by_address.get(spec.address)
        if number is None or number in taken:
            number = _free(taken, found)
            generation = found[number].generation + 1 if number in found else 1
        else:
            generation = found[number].generation
        taken.add(number)
        since_ns = now_ns if spec.draining else None
        fresh[spec.name, spec.address] = Seat(number, generation, spec, drains_since_ns=since_ns)
    return kept | leaving | fresh


def over(seat: Seat, now_ns: int, last_packet_ns: int, drain_ns: int) -> str:
    """Why its flows need not be waited for any more, or an empty string."""
    if seat.drains_since_ns is None:
        return ""
    if now_ns - seat.drains_since_ns >= drain_ns:
        return "its time to drain is over"
    if now_ns - max(last_packet_ns, seat.drains_since_ns) >= IDLE_NS:
        return "its last flow is idle"
    return ""


def without(seats: Mapping[Key, Seat], ended: Iterable[Key]) -> Seats:
    gone = set(ended)
    return {key: seat for key, seat in seats.items() if key not in gone}


def _kept(seat: Seat | None, spec: BackendSpec, now_ns: int) -> Seat | None:
    if seat is None:
        return None
    since_ns = (seat.drains_since_ns if seat.listed else None) or now_ns
    return replace(seat, spec=spec, listed=True, drains_since_ns=since_ns if spec.draining else None)


def _leaving(seat: Seat, now_ns: int) -> Seat:
    since_ns = seat.drains_since_ns if seat.drains_since_ns is not None else now_ns
    return replace(seat, listed=False, drains_since_ns=since_ns)


def _free(taken: set[int], found: Mapping[int, Found]) -> int:
    """The lowest number that nobody has; one of which a predecessor left something only when there is no other."""
    free = [number for number in range(LAST_NUMBER + 1) if number not in taken]
    if not free:
        raise Invalid(f"All {LAST_NUMBER + 1} places for backends are taken: drain fewer at once, or list fewer.")
    return next((number for number in free if number not in found), free[0])
