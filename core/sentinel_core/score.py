"""How right the forecasts have been lately, class by class, in bounded memory; below the gate nobody acts on them.

An alarm is what the allocation acts on: a burst at least as likely as not within the time room is made for. It is a
hit when a burst begins while it is open, and false when it runs out.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from sentinel_core.allocate import LEAD_SECONDS, LIKELY
from sentinel_core.signature import HAZARD_BINS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sentinel_api.v1alpha1.prediction import ModelGate
    from sentinel_core.forecast import Forecast

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

GRACE_S: Final = 1.0
"""A burst that comes so long after the time it was foretold for still finds the room that was made."""

BUCKETS: Final = 60
"""The window is forgotten in so many parts."""

HITS, MISSES, FALSE_ALARMS, SQUARES, ANSWERS = range(5)


@dataclass(frozen=True, slots=True)
class Marks:
    """All classes of the window together; None where nothing was scored yet."""

    hits: int
    misses: int
    false_alarms: int
    lead_s: float | None
    brier: float | None
    trusted: bool

    @property
    def precision(self) -> float | None:
        alarms = self.hits + self.false_alarms
        return self.hits / alarms if alarms else None


class LiveScore:
    """`step` once a period with what was said after it and what began in it; `trust` is for the next decision."""

    def __init__(self, series: int, step_s: float, gate: ModelGate) -> None:
        self.gate = gate
        self._step_s = step_s
        self._alarm_steps = round((LEAD_SECONDS + GRACE_S) / step_s)
        self._horizon_steps = round(HAZARD_BINS / step_s)
        self._bucket_steps = max(1, round(gate.window_seconds / BUCKETS / step_s))
        self._counts = np.zeros((BUCKETS, 5, series))
        self._leads = np.zeros((BUCKETS, self._alarm_steps + 1))
        self._said = np.full((self._horizon_steps, series), np.nan)
        self._steps, self._bucket = 0, 0
        self._alarm_age = np.full(series, -1)  # below 0: none is open
        self._onset_age = np.full(series, self._horizon_steps + 1)
        self._open = np.zeros(series, np.bool_)
        self.trust: Floats = np.zeros(series)

    def step(self, forecast: Forecast | None, began: Bools) -> None:
        """`forecast` was made from what was known at the end of the step in which `began` began; None if it failed."""
        bucket = self._turn()
        self._judge_alarms(bucket, began)
        self._judge_chances(bucket, forecast, began)
        if forecast is not None:
            likely = forecast.burst_within(LEAD_SECONDS) >= LIKELY
            self._alarm_age = np.where((self._alarm_age < 0) & likely, 0, self._alarm_age)
        self._judge_trust()

    def marks(self) -> Marks:
        each = self._counts.sum(axis=0)
        # A class in which nothing ever happens is foretold well by anybody, and would hide the others.
        counts = each[:, each[:SQUARES].any(axis=0)].sum(axis=1)
        leads = self._leads.sum(axis=0).cumsum()
        median = float(np.searchsorted(leads, leads[-1] / 2) * self._step_s) if leads[-1] else None
        return Marks(
            hits=int(counts[HITS]),
            misses=int(counts[MISSES]),
            false_alarms=int(counts[FALSE_ALARMS]),
            lead_s=median,
            brier=float(counts[SQUARES] / counts[ANSWERS]) if counts[ANSWERS] else None,
            trusted=bool(self._open.any()),
        )

    def _turn(self) -> Floats:
        """The part of the window that is being filled; the oldest makes room for it."""
        at, into = divmod(self._steps, self._bucket_steps)
        at %= BUCKETS
        if into == 0:
            self._counts[at], self._leads[at] = 0.0, 0.0
        self._steps += 1
        self._bucket = at
        bucket: Floats = self._counts[at]
        return bucket

    def _judge_alarms(self, bucket: Floats, began: Bools) -> None:
        open_ = self._alarm_age >= 0
        self._alarm_age = self._alarm_age + open_
        hit = open_ & began
        over = open_ & ~began & (self._alarm_age >= self._alarm_steps)
        bucket[HITS] += hit
        bucket[MISSES] += began & ~open_
        bucket[FALSE_ALARMS] += over
        if hit.any():
            np.add.at(self._leads[self._bucket], np.minimum(self._alarm_age[hit], self._alarm_steps), 1.0)
        self._alarm_age = np.where(hit | over, -1, self._alarm_age)

    def _judge_chances(self, bucket: Floats, forecast: Forecast | None, began: Bools) -> None:
        """What was said ten seconds ago of the time since."""
        self._onset_age = np.where(began, 0, self._onset_age + 1)
        at = self._steps % self._horizon_steps
        said = self._said[at]
        answered = ~np.isnan(said)
        came = self._onset_age < self._horizon_steps
        bucket[SQUARES] += np.where(answered, said - came, 0.0) ** 2
        bucket[ANSWERS] += answered
        self._said[at] = np.nan if forecast is None else forecast.burst_within(HAZARD_BINS)

    def _judge_trust(self) -> None:
        counts = self._counts.sum(axis=0)
        alarms = counts[HITS] + counts[FALSE_ALARMS]
        right = counts[HITS] / np.maximum(alarms, 1.0)
        threshold = np.where(self._open, self.gate.close_below_percent, self.gate.open_above_percent) / 100.0
        self._open = (alarms >= self.gate.min_events) & (right >= threshold)
        self.trust = np.where(self._open, right, 0.0)
