"""The schedule learner as the agent's forecaster: samples in, onsets and their size out; demand is still smoothed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from sentinel_agent.predict.smoothing import Smoothing
from sentinel_api.records import CLASSES
from sentinel_core.events import LIVE, Rule
from sentinel_core.forecast import Forecast, checked
from sentinel_core.sample import PERIOD_NS, Valid
from sentinel_core.schedule import ScheduleLearner

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sentinel_core.sample import Sample

    Floats = NDArray[np.float64]

PERIOD_S: Final = PERIOD_NS / 1e9
CATCH_UP_STEPS: Final = 50
"""Ticks that came late are filled in at the rate of the whole stretch; a longer stretch is a gap, and unknown."""
STEPS_A_TICK: Final = 100
"""A gap is caught up over several ticks: one tick must not take so long that the leases run out."""
LONGEST_GAP_STEPS: Final = 6_000
"""After ten minutes without a sample nothing of the last one matters, and time starts anew."""
MEAN_S: Final = 60.0


class Schedule:
    """`began` tells in which classes a burst began since the step before: the truth that forecasts are scored by."""

    name = "schedule"

    def __init__(self, rule: Rule = LIVE) -> None:
        self._rule = rule
        self._learner = ScheduleLearner(CLASSES, PERIOD_S, rule)
        self._demand = Smoothing()
        self._first_ns: int | None = None
        self._steps = 0
        self._backlog = np.zeros(CLASSES)
        self._mean_bps = np.zeros(CLASSES)
        self.began: NDArray[np.bool_] = np.zeros(CLASSES, np.bool_)

    def predict(self, sample: Sample) -> Forecast:
        due = self._due(sample)
        packets = sample.per_second("packets") * PERIOD_S
        surplus = self._surplus(sample) / max(due, 1)
        known = sample.has(Valid.COUNTERS) & (due <= CATCH_UP_STEPS)
        self.began = np.zeros(CLASSES, np.bool_)
        for _ in range(due):
            self.began |= self._learner.step(packets, known, surplus)
        return checked(
            made_ns=sample.t_ns,
            source=self.name,
            hazard=self._learner.hazard(),
            magnitude_bytes=self._learner.magnitude(),
            demand=self._demand.predict(sample).demand,
        )

    def _due(self, sample: Sample) -> int:
        """Steps of the grid to take now: phases must not drift with the ticks' own lateness.

        While a long stretch is being caught up, more than `CATCH_UP_STEPS` are due, so what is seen does not count.
        """
        if self._first_ns is None:
            self._first_ns = sample.t_ns - PERIOD_NS
        grid = round((sample.t_ns - self._first_ns) / PERIOD_NS)
        due = grid - self._steps
        if due > LONGEST_GAP_STEPS:
            self._first_ns, self._steps = sample.t_ns - PERIOD_NS, 0
            self._learner = ScheduleLearner(CLASSES, PERIOD_S, self._rule)
            return self._due(sample)
        due = min(max(due, 0), STEPS_A_TICK)
        self._steps += due
        return due

    def _surplus(self, sample: Sample) -> Floats:
        """Bytes beyond what could leave: what the queue grew by and what it refused; where no queue is measured,
        what came beyond the mean of a minute."""
        seconds = sample.period_ns / 1e9
        rate = sample.per_second("bytes")
        beyond = np.maximum(rate - self._mean_bps, 0.0) * seconds
        self._mean_bps += -np.expm1(-seconds / MEAN_S) * (rate - self._mean_bps)
        backlog = sample.backlog_bytes.astype(np.float64)
        grown = np.maximum(backlog - self._backlog, 0.0)
        self._backlog = backlog
        packet_bytes = sample.bytes / np.maximum(sample.packets, 1)
        refused: Floats = grown + sample.drops * packet_bytes
        return np.where(sample.has(Valid.QUEUE), refused, beyond)
