"""All that is learned of each class while it runs, tied together: samples in, what a model is fed and corrects out.

Training and the agent step the same object, so a model meets in service what it was trained on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sentinel_core.demand import SPREAD_BELOW_S, DemandLearner
from sentinel_core.events import LIVE, Rule
from sentinel_core.inputs import FEATURES, InputWindow, Learned
from sentinel_core.referee import Referees
from sentinel_core.schedule import ScheduleLearner

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from sentinel_core.inputs import Inputs, Seen
    from sentinel_core.referee import Answers, Told

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

BYTES, PACKETS = FEATURES.index("throughput"), FEATURES.index("packet_rate")


class Senses:
    """`step` once a period; the rest answers from what was seen so far. `ponder` when the answers are out: the next
    step does it where nobody did, so that whoever does not hurry learns the same."""

    def __init__(self, series: int, step_s: float, rule: Rule = LIVE) -> None:
        self._step_s = step_s
        self._window = InputWindow(series)
        self.schedule = ScheduleLearner(series, step_s, rule)
        self.demand = DemandLearner(series, step_s)
        self._referees = Referees(series, step_s)
        self._owes = False

    def step(self, now: Seen, surplus_bytes: Floats) -> Bools:
        """True where a burst began."""
        self.ponder()
        self._owes = True
        known = now.known[:, PACKETS]
        began = self.schedule.step(now.value[:, PACKETS] * self._step_s, known, surplus_bytes)
        self.demand.step(now.value[:, BYTES], known)
        self._referees.step(began, known, surplus_bytes)
        if self._step_s >= SPREAD_BELOW_S:
            self.ponder()
        return began

    def ponder(self) -> None:
        """What the last step taught and its own answers need not know."""
        if not self._owes:
            return
        self._owes = False
        self.schedule.ponder()
        self.demand.ponder()
        self._referees.ponder(self.demand.ended)

    def skip(self, steps: int) -> None:
        """As so many steps of which nothing was known."""
        self.ponder()
        self.schedule.skip(steps)
        self.demand.skip(steps)
        self._referees.forget_said()

    def learned(self) -> Learned:
        return Learned(
            hazard=self.schedule.hazard(),
            certainty=self.schedule.certainty,
            age_s=self.schedule.age_s,
            magnitude_bytes=self.schedule.magnitude(),
            demand=self.demand.quantiles,
            scale_bps=self.demand.mean_bps,
        )

    def keep_pace(self, now: Seen) -> None:
        """Instead of `inputs` where nobody is fed: the slow means move all the same."""
        self._window.features(now)

    def believed(self, own: Answers, model: Answers) -> Told:
        """Once a step: what the model says where it has been right of late, else what the learners do."""
        return self._referees.answer(own, model)

    def inputs(self, now: Seen, learned: Learned) -> Inputs:
        """Once a step: the slow means move."""
        return self._window.step(now, learned)
