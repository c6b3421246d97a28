"""How much room an uncertain burst is worth: the quantile at which one more byte held costs what one dropped would."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from sentinel_core.signature import MAGNITUDE_LEVELS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

_LEVELS: Final = np.array([0.0, *MAGNITUDE_LEVELS])


def quantile(drop_cost: Floats) -> Floats:
    """The critical fractile of a newsvendor, for a drop that costs so many held bytes."""
    return drop_cost / (drop_cost + 1.0)


def room_bytes(chance: Floats, magnitude_bytes: Floats, drop_cost: Floats) -> Floats:
    """Bytes beyond the present need, per class: that quantile of 'nothing, or with this chance a burst'.

    The burst's own distribution is linear between 0 and the forecast's quantiles. Beyond the last of them nothing is
    known, so it is also the most. Neither a larger chance, magnitude nor cost ever makes the room smaller.
    """
    wanted = quantile(drop_cost)
    silent = 1.0 - chance
    # Chances below one in a billion are nothing; dividing by them would overflow.
    inside = np.clip((wanted - silent) / np.maximum(chance, 1e-9), 0.0, 1.0)
    ladder = np.hstack([np.zeros((len(chance), 1)), magnitude_bytes])
    step = np.clip(np.searchsorted(_LEVELS, inside, side="right") - 1, 0, len(_LEVELS) - 2)
    rows = np.arange(len(chance))
    low, high = ladder[rows, step], ladder[rows, step + 1]
    part = np.clip((inside - _LEVELS[step]) / (_LEVELS[step + 1] - _LEVELS[step]), 0.0, 1.0)
    room: Floats = low + part * (high - low)
    return room
