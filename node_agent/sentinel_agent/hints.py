"""What other nodes tell this one, as input to its decisions. Without a mesh there is nothing, and that is fine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sentinel_api.records import CLASSES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sentinel_core.neighbours import Word

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Hints:
    """By class: how far neighbours' alarms have one expect a burst, and bytes per second that balancers intend to send
    here. `word` is what the alarms say of when and how much; None where nobody said anything."""

    alarm: Floats
    announced_bps: Floats
    word: Word | None = None


def no_hints(_began: NDArray[np.bool_] | None = None, _now_ns: int = 0) -> Hints:
    return Hints(np.zeros(CLASSES), np.zeros(CLASSES))
