"""The learners as the agent's forecaster: samples in; onsets, their size and the demand to come out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from sentinel_agent.predict.smoothing import Smoothing
from sentinel_api.records import CLASSES
from sentinel_core.events import LIVE, Rule
from sentinel_core.forecast import Forecast, checked
from sentinel_core.inputs import seen
from sentinel_core.sample import PERIOD_NS, Valid
from sentinel_core.senses import Senses

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sentinel_core.inputs import Learned, Seen
    from sentinel_core.sample import Sample

    Floats = NDArray[np.float64]

PERIOD_S: Final = PERIOD_NS / 1e9
CATCH_UP_STEPS: Final = 50
"""Ticks that came late are filled in at the rate of the whole stretch; a longer stretch is a gap, and unknown."""
MEAN_S: Final = 60.0


class Schedule:
    """`began` tells in which classes a burst began since the step before: the truth that forecasts are scored by."""

    name = "schedule"

    def __init__(self, rule: Rule = LIVE) -> None:
        self.senses = Senses(CLASSES, PERIOD_S, rule)
        self._smoothing = Smoothing()
        self._first_ns: int | None = None
        self._steps = 0
        self._backlog = np.zeros(CLASSES)
        self._mean_bps = np.zeros(CLASSES)
        self.began: NDArray[np.bool_] = np.zeros(CLASSES, np.bool_)
        self.seen: Seen

    def predict(self, sample: Sample) -> Forecast:
        self.see(sample)
        return self.said(sample, self.senses.learned())

    def see(self, sample: Sample) -> bool:
        """One sample's steps; true where it ended a gap, of which nothing is known. `seen` is what they were of."""
        self.seen = seen(sample)
        due = self._due(sample)
        self.began = np.zeros(CLASSES, np.bool_)
        surplus = self._surplus(sample) / max(due, 1)
        if due > CATCH_UP_STEPS:
            self.senses.skip(due)
            return True
        for _ in range(due):
            self.began |= self.senses.step(self.seen, surplus)
        return False

    def ponder(self) -> None:
        self.senses.ponder()

    def said(self, sample: Sample, learned: Learned) -> Forecast:
        """Demand is smoothed until its learner has seen a class for some seconds."""
        demand, started = learned.demand, self.senses.demand.started
        if not started.all():
            demand = np.where(started[:, None, None], demand, self._smoothing.predict(sample).demand)
        return checked(
            made_ns=sample.t_ns,
            source=self.name,
            hazard=learned.hazard,
            magnitude_bytes=learned.magnitude_bytes,
            demand=demand,
        )

    def _due(self, sample: Sample) -> int:
        """Steps of the grid to take now: phases must not drift with the ticks' own lateness."""
        if self._first_ns is None:
            self._first_ns = sample.t_ns - PERIOD_NS
        due = max(round((sample.t_ns - self._first_ns) / PERIOD_NS) - self._steps, 0)
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
        return np.where(sample.has(Valid.QUEUE), grown + sample.refused_bytes(), beyond)
