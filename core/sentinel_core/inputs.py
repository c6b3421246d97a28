"""What a model is fed of each class and step: five scale-free features, one definition for training and serving.

A feature is the log of a value over its own slow mean, so that a class of ten packets a second and one of a million
look alike. What was not measured is 0, which says "as usual", and `valid` says that it was not.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from sentinel_core.sample import PERIOD_NS, Valid

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sentinel_core.sample import Sample

    Floats = NDArray[np.float64]

FEATURES: Final = ("throughput", "packet_rate", "queue_depth", "latency", "connection_rate")
GROUPS: Final = (Valid.COUNTERS, Valid.COUNTERS, Valid.QUEUE, Valid.SOJOURN, Valid.COUNTERS)
FLOORS: Final = (1_514.0, 1.0, 1_514.0, 100.0, 1.0)
"""Added above and below the line: a frame, a packet, a tenth of a millisecond are no news."""

SLOW_S: Final = 60.0
BOUND: Final = 6.0

DIGEST: Final = hashlib.sha256(
    json.dumps([FEATURES, [int(group) for group in GROUPS], FLOORS, SLOW_S, BOUND, PERIOD_NS]).encode()
).hexdigest()
"""Of everything that decides what a feature means; a model trained on another one is refused."""


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """`x[class, feature]` and, per class, whether its counters were measured at all."""

    x: NDArray[np.float32]
    valid: NDArray[np.float32]


class InputWindow:
    """Streaming: one `step` a sample. The slow mean starts at the first value seen, so that nothing looks like a burst
    only because it is the first."""

    def __init__(self, series: int) -> None:
        self._slow = np.zeros((series, len(FEATURES)))
        self._started = np.zeros((series, len(FEATURES)), np.bool_)
        self._floors = np.array(FLOORS)

    def step(self, sample: Sample) -> Inputs:
        value = np.stack(
            [
                sample.per_second("bytes"),
                sample.per_second("packets"),
                sample.backlog_bytes.astype(np.float64),
                sample.sojourn_us_p95.astype(np.float64),
                sample.per_second("new_flows"),
            ],
            axis=1,
        )
        known = np.stack([sample.has(group) for group in GROUPS], axis=1)
        self._slow = np.where(known & ~self._started, value, self._slow)
        self._started |= known
        ratio = np.log((value + self._floors) / (self._slow + self._floors))
        share = -np.expm1(-sample.period_ns / 1e9 / SLOW_S)
        self._slow += np.where(known, share * (value - self._slow), 0.0)
        bounded = np.where(known, np.minimum(np.maximum(ratio, -BOUND), BOUND), 0.0)
        return Inputs(bounded.astype(np.float32), sample.has(Valid.COUNTERS).astype(np.float32))
