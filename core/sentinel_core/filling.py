"""Sharing a budget: by priority first, and among equals water-filled by weight, in whole bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]


def fill(budget: int, wants: Ints, priority: Ints, weight: Ints) -> Ints:
    """What each gets of the budget: nobody more than it wants, lower priority numbers first.

    A level that cannot be served whole is filled like connected vessels whose width is the weight. Only integer sums
    are formed, so the outcome cannot depend on the order of the classes; a level may leave fewer bytes than it has
    members. Wants times weights must stay below 2^63.
    """
    if int(wants.sum()) <= budget:
        return wants.copy()
    grants = np.zeros_like(wants)
    wanting = wants > 0
    for level in sorted(set(priority[wanting].tolist())):
        members = wanting & (priority == level)
        total = int(wants[members].sum())
        if total > budget:
            grants[members] = _level(budget, wants[members], weight[members])
            break
        grants[members] = wants[members]
        budget -= total
    return grants


def _level(budget: int, wants: Ints, weight: Ints) -> Ints:
    grants = np.zeros_like(wants)
    thirsty = np.ones(len(wants), np.bool_)
    while True:
        width = int(weight[thirsty].sum())
        sated = thirsty & (wants * width <= budget * weight)
        if not sated.any():
            grants[thirsty] = budget * weight[thirsty] // width
            return grants
        grants[sated] = wants[sated]
        budget -= int(wants[sated].sum())
        thirsty &= ~sated
