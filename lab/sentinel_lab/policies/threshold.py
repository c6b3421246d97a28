"""The plain rule that many would write first: act on a forecast above a fixed confidence, and steer by one PID."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sentinel_agent.predict.schedule import Schedule
from sentinel_core import pid
from sentinel_core.signature import HAZARD_BINS, MAGNITUDE_LEVELS
from sentinel_lab.policies.product import sample_of
from sentinel_lab.policies.sharing import shared

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sentinel_agent.predict.port import Foreseeing
    from sentinel_core.forecast import Forecast
    from sentinel_core.sample import Sample
    from sentinel_lab.policies.port import Seen
    from sentinel_lab.scenario import Scenario

SURE: Final = 0.95
GAINS: Final = pid.Gains(0.8, 0.1, 0.05)
TARGET_FILL: Final = 0.5
"""The limit is steered so that half of it is in use."""
MEDIAN: Final = MAGNITUDE_LEVELS.index(0.5)


@dataclass(slots=True)
class _Loop:
    integral: float = 0.0
    error: float = 0.0


@dataclass(slots=True)
class Threshold:
    """Looks as often as the product does. Nothing weighs how right the forecasts have been."""

    scenario: Scenario
    forecaster: Foreseeing = field(default_factory=Schedule)
    name: str = "threshold"
    period_s: float = 0.1
    _loops: dict[int, _Loop] = field(default_factory=dict, init=False)

    def season(self, past: Iterable[Sample]) -> None:
        for sample in past:
            self.forecaster.predict(sample)

    def limits(self, seen: Mapping[int, Seen]) -> Mapping[int, int]:
        forecast = self.forecaster.predict(sample_of(seen))
        wants = {
            each.id: max(self._steered(each.id, seen[each.id]), self._foreseen(each.id, seen[each.id], forecast))
            for each in self.scenario.resizable
        }
        return shared(self.scenario, wants, seen)

    def _steered(self, class_id: int, seen: Seen) -> int:
        """In units of the limit: an error of one is a queue twice as full as it should be."""
        loop = self._loops.setdefault(class_id, _Loop())
        error = min(1.0, seen.backlog_bytes / (TARGET_FILL * max(1, seen.limit_bytes)) - 1.0)
        loop.integral = min(1.0, max(-1.0, loop.integral + GAINS.ki * error))
        change = GAINS.kp * error + loop.integral + GAINS.kd * (error - loop.error)
        loop.error = error
        return int(seen.limit_bytes * max(0.0, 1.0 + change))

    def _foreseen(self, class_id: int, seen: Seen, forecast: Forecast) -> int:
        if forecast.burst_within(HAZARD_BINS)[class_id] <= SURE:
            return 0
        return seen.backlog_bytes + int(forecast.magnitude_bytes[class_id, MEDIAN])
