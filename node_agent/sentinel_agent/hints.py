"""What other nodes tell this one, as input to its decisions. Without a mesh there is nothing, and that is fine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sentinel_api.records import CLASSES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Hints:
    """By class: confidence of the strongest fresh alarm, and bytes per second that balancers intend to send here."""

    alarm: Floats
    announced_bps: Floats


def no_hints() -> Hints:
    return Hints(np.zeros(CLASSES), np.zeros(CLASSES))
