"""How rival features meet: each wishes for a value of a knob, and the knob alone knows which wish holds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from itertools import groupby
from typing import TYPE_CHECKING, assert_never

from sentinel_api.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Meet(Enum):
    """Which of two wishes is the safer one."""

    LOWEST = "lowest"
    HIGHEST = "highest"


@dataclass(frozen=True, slots=True, order=True)
class Knob:
    """Something that one arbiter may turn, with the bounds no wish can leave."""

    name: str
    unit: str
    meet: Meet
    low: int
    high: int

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise Invalid(f"{self.name} cannot be turned: its lowest value {self.low} is above its highest {self.high}")

    def bounded(self, value: int) -> int:
        return min(max(value, self.low), self.high)


@dataclass(frozen=True, slots=True)
class Wish:
    """`why` ends in the status; `subject` is whose knob (a class, a node), empty for a knob that exists once."""

    knob: Knob
    value: int
    feature: str
    why: str
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Settled:
    """The wish that holds, brought within the knob's bounds, and those it prevailed over."""

    value: int
    wish: Wish
    rivals: tuple[Wish, ...]


def settle(wishes: Iterable[Wish]) -> Mapping[tuple[str, str], Settled]:
    """By (knob's name, subject). The order of the wishes is irrelevant, also for who is named as the reason."""
    ordered = sorted(wishes, key=_rank)
    settled: dict[tuple[str, str], Settled] = {}
    for (name, subject), group in groupby(ordered, key=lambda wish: (wish.knob.name, wish.subject)):
        first, *rivals = group
        if any(rival.knob != first.knob for rival in rivals):
            raise Invalid(f"two features disagree on what the knob {name} is: define it once and import it")
        settled[name, subject] = Settled(first.knob.bounded(first.value), first, tuple(rivals))
    return settled


def _rank(wish: Wish) -> tuple[str, str, int, str, str]:
    """The prevailing wish of a knob sorts first; equal ones by name, so that the outcome never depends on arrival."""
    match wish.knob.meet:
        case Meet.LOWEST:
            strength = wish.value
        case Meet.HIGHEST:
            strength = -wish.value
        case _ as unreachable:
            assert_never(unreachable)
    return (wish.knob.name, wish.subject, strength, wish.feature, wish.why)
