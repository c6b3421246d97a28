"""How flows are drawn from two candidates by their room, as in the kernel (lb_place.h), and what that brings each node.

If all went to the candidate with more room, a little more would draw every flow until the next report. So each of two
gets as the square of its room, and no more flows than that needs leave the ring's first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Which = NDArray[np.intp] | slice

ALL: Final = slice(None)
FEW: Final = 64
LEAST: Final = 0.5
"""Room is told in whole bytes: less than a byte is none."""
RIVALS: Final = 16
"""Of more than a few nodes these many, evenly by what they offer, stand for all: a tick has a tenth of a second."""


def part_of_second(first: Floats, second: Floats) -> Floats:
    """Of the flows whose slot names these two in this order."""
    squares = np.square(first), np.square(second)
    # Where neither has room the rest is nothing too. Not a division under a mask: it takes five times as long.
    part: Floats = np.maximum(squares[1] - squares[0], 0.0) / np.maximum(squares[0] + squares[1], LEAST)
    return part


@dataclass(frozen=True, slots=True, eq=False)
class Offers:
    """What nodes that take new flows offer; the room of those that do not say counts as 0."""

    capacity: Floats
    room: Floats
    says: NDArray[np.bool_]
    load: Floats


def shares(offers: Offers) -> Floats:
    """Of a class's new flows, over a ring of these nodes; together 1."""
    count = len(offers.capacity)
    if count < 2:
        return np.ones(count)
    part = (offers.capacity / offers.capacity.sum())[:, None]
    rivals = _rivals(offers)
    mass = (part[rivals] / part[rivals].sum()).T
    as_first = part * mass / (1 - part) * (1 - _second_takes(offers, ALL, rivals))
    as_second = part * mass / (1 - part[rivals].T) * _second_takes(offers, rivals, ALL).T
    met = as_first + as_second
    if len(rivals) == count:
        np.fill_diagonal(met, 0.0)  # nobody is a candidate twice
    got: Floats = met.sum(axis=1)
    whole: Floats = got / got.sum()
    return whole


def _rivals(offers: Offers) -> NDArray[np.intp]:
    count = len(offers.room)
    if count <= FEW:
        return np.arange(count)
    order = np.lexsort((-offers.load, offers.room, offers.says))
    found: NDArray[np.intp] = order[((np.arange(RIVALS) + 0.5) * count / RIVALS).astype(np.intp)]
    return found


def _second_takes(offers: Offers, first: Which, second: Which) -> Floats:
    """A row for each first candidate, a column for each second."""
    room, says, load = offers.room, offers.says, offers.load
    by_room = part_of_second(room[first][:, None], room[second][None, :])
    without = np.maximum.outer(room[first], room[second]) == 0
    both = np.logical_and.outer(says[first], says[second])
    less_loaded = both & np.greater.outer(load[first], load[second])
    silent = np.greater.outer(says[first], says[second])
    found: Floats = np.where(without, less_loaded | silent, by_room)
    return found
