"""The static ring of a VIP: which two backends may take a flow, the same on every balancer that knows the same members.

Maglev: each backend has a walk of its own through all slots and takes, in its turn, the next one that is still free.
A backend of twice the capacity has twice the turns. Membership and capacity go in and nothing else, least of all what
is forecast: a flow's candidates change only when a member does.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sentinel_api.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SLOTS: Final = 65_537  # prime, so that every step visits every slot
MAX_NUMBER: Final = 0xFFFF  # a candidate is 16 bits wide in the kernel
_SECOND_STEP: Final = 40_503  # odd places for second candidates: far from the first, and a walk through all slots
_FREE: Final = -1


@dataclass(frozen=True, slots=True)
class Member:
    """`number` is the backend's index in the kernel's tables; the place in the ring follows from `name` alone."""

    name: str
    number: int
    capacity: int = 1


def pairs(members: Sequence[Member]) -> NDArray[np.uint16]:
    """For each slot the first and the second candidate; they differ wherever there are two members to choose from."""
    _check(members)
    ordered = sorted(members, key=lambda member: member.name)
    first = np.asarray(_filled(ordered), np.int32)
    second = _seconds(first, alone=len(ordered) == 1)
    numbers = np.array([member.number for member in ordered], np.uint16)
    return np.stack([numbers[first], numbers[second]], axis=1)


def _check(members: Sequence[Member]) -> None:
    if not 0 < len(members) <= SLOTS // 10:
        raise Invalid(f"A ring of {len(members)} backends cannot be built; give it between 1 and {SLOTS // 10}.")
    if len({member.name for member in members}) < len(members):
        raise Invalid("Two backends of a ring have the same name; give each one a name of its own.")
    for member in members:
        if member.capacity < 1 or not 0 <= member.number <= MAX_NUMBER:
            raise Invalid(f"Backend {member.name}: use a capacity of at least 1, and a number up to {MAX_NUMBER}.")


def _turns(ordered: Sequence[Member]) -> list[int]:
    """Who takes a slot when: at equal distances in a time that runs faster for more capacity."""
    capacities = np.array([member.capacity for member in ordered], np.float64)
    quotas = np.ceil(capacities / capacities.sum() * SLOTS).astype(np.int64) + 1
    owners = np.repeat(np.arange(len(ordered)), quotas)
    starts = np.repeat(np.cumsum(quotas) - quotas, quotas)
    times = (np.arange(len(owners)) - starts + 1) / capacities[owners]
    taken: list[int] = owners[np.lexsort((owners, times))][:SLOTS].tolist()
    return taken


def _walks(ordered: Sequence[Member]) -> tuple[list[int], list[int]]:
    """Where each one's walk starts, and its step."""
    digests = [hashlib.blake2b(member.name.encode(), digest_size=16).digest() for member in ordered]
    words: NDArray[Any] = np.frombuffer(b"".join(digests), "<u8").reshape(-1, 2)
    return (words[:, 0] % SLOTS).tolist(), (words[:, 1] % (SLOTS - 1) + 1).tolist()


def _filled(ordered: Sequence[Member]) -> list[int]:
    """Each turn depends on the one before; a plain loop over lists is faster here than anything clever in numpy."""
    places, steps = _walks(ordered)
    table = [_FREE] * SLOTS
    for owner in _turns(ordered):
        place, step = places[owner], steps[owner]
        while table[place] != _FREE:
            place += step
            if place >= SLOTS:
                place -= SLOTS
        table[place] = owner
        places[owner] = place
    return table


def _seconds(first: NDArray[np.int32], *, alone: bool) -> NDArray[np.int32]:
    """The next different backend on a walk through the ring itself, so that capacity counts here, too."""
    if alone:
        return first
    places = np.arange(SLOTS, dtype=np.int64) * _SECOND_STEP % SLOTS
    second = first[places]
    same = np.flatnonzero(second == first)
    while same.size:
        places[same] = (places[same] + 1) % SLOTS
        second[same] = first[places[same]]
        same = same[second[same] == first[same]]
    return second
