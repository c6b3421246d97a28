"""What a model is fed of each class and step: five scale-free features, and what the learners of the class say.

A feature is the log of a value over its own slow mean, so that a class of ten packets a second and one of a million
look alike. What was not measured is 0, which says "as usual", and the masks say that it was not. The learners' own
answers are among the inputs, so a model corrects them instead of learning schedules anew. One definition serves
training and the agent.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from sentinel_api.records import HORIZONS_S
from sentinel_core.sample import Valid
from sentinel_core.signature import DEMAND_LEVELS, HAZARD_BINS, MAGNITUDE_LEVELS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sentinel_core.sample import Sample

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

FEATURES: Final = ("throughput", "packet_rate", "queue_depth", "latency", "connection_rate")
GROUPS: Final = (Valid.COUNTERS, Valid.COUNTERS, Valid.QUEUE, Valid.SOJOURN, Valid.COUNTERS)
_MEASURED_AS: Final = {group: [at for at, each in enumerate(GROUPS) if each is group] for group in GROUPS}
FLOORS: Final = (1_514.0, 1.0, 1_514.0, 100.0, 1.0)
"""Added above and below the line: a frame, a packet, a tenth of a millisecond are no news."""

SLOW_S: Final = 60.0
BOUND: Final = 6.0
LOGIT_BOUND: Final = 8.0
IMPOSSIBLE: Final = -12.0
"""Stands for a chance of exactly 0: by the rule of an onset there can be none in that second."""
AGE_BOUND_S: Final = 3_600.0
LEARNERS: Final = 2
"""Raised whenever what the learners answer changes so much that a model trained beside them must be trained anew."""

COLUMNS: Final = (
    *FEATURES,
    "queue_known",
    "latency_known",
    *(f"hazard_logit_{second}" for second in range(HAZARD_BINS)),
    "certainty",
    "log_age",
    "log_step",
    *(f"log_magnitude_{level}" for level in MAGNITUDE_LEVELS),
    *(f"log_demand_{horizon}_{level}" for horizon in HORIZONS_S for level in DEMAND_LEVELS),
    "log_scale",
)
"""The last one is for scaling answers back only; a model must not look at it."""
HAZARDS: Final = slice(COLUMNS.index("hazard_logit_0"), COLUMNS.index("hazard_logit_0") + HAZARD_BINS)
MAGNITUDES: Final = slice(HAZARDS.stop + 3, HAZARDS.stop + 3 + len(MAGNITUDE_LEVELS))
DEMANDS: Final = slice(MAGNITUDES.stop, MAGNITUDES.stop + len(HORIZONS_S) * len(DEMAND_LEVELS))

DIGEST: Final = hashlib.sha256(
    json.dumps(
        [
            COLUMNS,
            [int(group) for group in GROUPS],
            FLOORS,
            SLOW_S,
            BOUND,
            LOGIT_BOUND,
            IMPOSSIBLE,
            AGE_BOUND_S,
            LEARNERS,
        ]
    ).encode()
).hexdigest()
"""Of everything that decides what a column means; a model trained on another one is refused."""


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """`x[class, column]` and, per class, whether its counters were measured at all."""

    x: NDArray[np.float32]
    valid: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """One step of every series in units of a second: `value[series, feature]` and which of them were measured."""

    value: Floats
    known: Bools
    period_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Learned:
    """What the learners say after the same step."""

    hazard: Floats
    certainty: Floats
    age_s: Floats
    magnitude_bytes: Floats
    demand: Floats
    scale_bps: Floats


def seen(sample: Sample) -> Seen:
    """Filled column by column: stacking takes longer, and every tick pays."""
    value = np.empty((len(sample.bytes), len(FEATURES)))
    value[:, 0] = sample.per_second("bytes")
    value[:, 1] = sample.per_second("packets")
    value[:, 2] = sample.backlog_bytes
    value[:, 3] = sample.sojourn_us_p95
    value[:, 4] = sample.per_second("new_flows")
    known = np.empty(value.shape, np.bool_)
    for group, columns in _MEASURED_AS.items():
        known[:, columns] = sample.has(group)[:, None]
    return Seen(value, known, sample.period_ns / 1e9)


class InputWindow:
    """Streaming: one `step` a sample. The slow mean starts at the first value seen, so that nothing looks like a burst
    only because it is the first."""

    def __init__(self, series: int) -> None:
        self._slow = np.zeros((series, len(FEATURES)))
        self._started = np.zeros((series, len(FEATURES)), np.bool_)
        self._floors = np.array(FLOORS)

    def features(self, now: Seen) -> Floats:
        """[series, feature]: advances the slow means."""
        value, known = now.value, now.known
        self._slow = np.where(known & ~self._started, value, self._slow)
        self._started |= known
        ratio = np.log((value + self._floors) / (self._slow + self._floors))
        share = -np.expm1(-now.period_s / SLOW_S)
        self._slow += np.where(known, share * (value - self._slow), 0.0)
        return np.where(known, np.minimum(np.maximum(ratio, -BOUND), BOUND), 0.0)

    def step(self, now: Seen, learned: Learned) -> Inputs:
        x = np.empty((len(self._slow), len(COLUMNS)), np.float32)
        x[:, : len(FEATURES)] = self.features(now)
        at = len(FEATURES)
        x[:, at : at + 2] = now.known[:, 2:4]
        hazard = np.minimum(np.maximum(learned.hazard, 1e-6), 1.0 - 1e-6)
        logit = np.minimum(np.maximum(np.log(hazard / (1.0 - hazard)), -LOGIT_BOUND), LOGIT_BOUND)
        x[:, HAZARDS] = np.where(learned.hazard > 0.0, logit, IMPOSSIBLE)
        x[:, HAZARDS.stop] = learned.certainty
        x[:, HAZARDS.stop + 1] = np.log1p(np.minimum(learned.age_s, AGE_BOUND_S))
        x[:, HAZARDS.stop + 2] = np.log10(now.period_s)
        scale = learned.scale_bps[:, None] + FLOORS[0]
        known = learned.magnitude_bytes > 0
        x[:, MAGNITUDES] = np.where(known, np.log((learned.magnitude_bytes + 1.0) / scale), 0.0)
        demand = learned.demand.reshape(len(x), -1)
        x[:, DEMANDS] = np.log((demand + FLOORS[0]) / scale)
        x[:, -1] = np.log(scale[:, 0])
        return Inputs(x, now.known[:, 0].astype(np.float32))
