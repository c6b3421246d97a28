"""Amounts of bytes in 16 bits: a small float for the mesh, 5 bits of exponent and 11 of mantissa.

Codes below 4096 stand for themselves; above, neighbours are at most one part in 2048 apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_MANTISSA_BITS: Final = 11
_STEPS: Final = 1 << _MANTISSA_BITS


def _ladder() -> NDArray[np.int64]:
    """The amount each code stands for, ascending."""
    codes = np.arange(1 << 16, dtype=np.int64)
    exponent, mantissa = codes >> _MANTISSA_BITS, codes & (_STEPS - 1)
    return np.where(exponent == 0, mantissa, (mantissa + _STEPS) << np.maximum(exponent - 1, 0))


_LADDER: Final = _ladder()
AMOUNT_MAX: Final = int(_LADDER[-1])
"""Larger amounts are sent as this one (about 4.4 TB, more than a second of any link)."""


def floor_codes(amounts: Sequence[int]) -> NDArray[np.uint16]:
    """For promises: the largest amount that is not above the one given, within 1/2048 of it."""
    return (np.searchsorted(_LADDER, _clipped(amounts), side="right") - 1).astype(np.uint16)


def near_codes(amounts: Sequence[int]) -> NDArray[np.uint16]:
    """For estimates: the nearest amount, within 1/4096 of the one given."""
    values = _clipped(amounts)
    below = np.searchsorted(_LADDER, values, side="right") - 1
    above = np.minimum(below + 1, len(_LADDER) - 1)
    return np.where(_LADDER[above] - values < values - _LADDER[below], above, below).astype(np.uint16)


def amounts(codes: NDArray[np.uint16]) -> tuple[int, ...]:
    """What the codes stand for; every code stands for something."""
    return tuple(_LADDER[codes].tolist())


def _clipped(values: Sequence[int]) -> NDArray[np.int64]:
    # Clamped as Python ints first: a value beyond 64 bits would make numpy raise.
    return np.array([min(max(int(value), 0), AMOUNT_MAX) for value in values], dtype=np.int64)
