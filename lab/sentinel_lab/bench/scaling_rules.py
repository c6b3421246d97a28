"""The rules that compete: the product's own decision on its own forecasts, and what is used without it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from sentinel_api.v1alpha1.buffernode import ForecastPoint, NodeForecast
from sentinel_api.v1alpha1.scaling import ScaleDown, Scaling
from sentinel_core.demand import DemandLearner
from sentinel_lab.bench.scaling_days import STEP_S
from sentinel_operator.decide import foresight, growth
from sentinel_operator.decide.demand import Report, fleet
from sentinel_operator.decide.scale import State, decide
from sentinel_operator.predict import at_horizon

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from sentinel_lab.bench.scaling_days import Day

    Floats = NDArray[np.float64]

MIN_NODES, MAX_NODES = 3, 100
NODE: Final = 1_000_000
"""Bytes a second that one node carries: only the unit in which the product's rule counts."""
DOWN_S: Final = 300
TOLERANCE: Final = 0.1
EPOCH: Final = datetime(2030, 1, 1, tzinfo=UTC)
HORIZONS_S: Final = (30, 60, 120, 300)


class Rule(Protocol):
    """Asked every `period_s`; sees demand up to `step` (not included) and the nodes asked for so far."""

    name: str
    period_s: int

    def wants(self, step: int, nodes: int) -> int: ...


def foreseen(day: Day) -> Floats:
    """What the product's learner says at every step of the p50 and p95 at four horizons: [step, horizon, 2].

    One learner sees all demand: nodes that share it evenly, and err together.
    """
    learner = DemandLearner(1, float(STEP_S))
    said = np.zeros((len(day.demand), len(HORIZONS_S), 2))
    for step, (demand, known) in enumerate(zip(day.demand, day.known, strict=True)):
        said[step] = learner.quantiles[0, :, 1:]
        learner.step(np.array([demand]), np.array([known]))
    return said


@dataclass(slots=True)
class Predictive:
    """decide/scale of the operator with its defaults, and with the history that it keeps in the status."""

    day: Day
    said: Floats
    lead_s: int
    headroom: int
    down_s: int = ScaleDown().stabilisation_seconds
    name: str = "predictive"
    period_s: int = 10
    _state: State = field(default_factory=lambda: State(MIN_NODES))
    _seen: tuple[growth.Seen, ...] = ()
    _record: foresight.Record = field(default_factory=foresight.Record)
    _rules: Scaling = field(init=False)

    def __post_init__(self) -> None:
        self._rules = Scaling(
            mode="Auto", min=MIN_NODES, max=MAX_NODES, node_capacity_bytes_per_second=NODE,
            headroom_percent=self.headroom, scale_down=ScaleDown(stabilisation_seconds=self.down_s),
        )  # fmt: skip

    def wants(self, step: int, nodes: int) -> int:
        now = EPOCH + timedelta(seconds=step * STEP_S)
        present = float(self.day.demand[max(0, step - 2) : step].mean())
        points = tuple(
            ForecastPoint.model_construct(horizon_seconds=horizon, p50=int(p50 * NODE), p95=int(p95 * NODE))
            for horizon, (p50, p95) in zip(HORIZONS_S, self.said[step], strict=True)
        )
        carried = int(present * NODE)
        forecast = NodeForecast.model_construct(seq=0, observed_at=now, demand_bytes_per_second=carried, points=points)
        report = Report("all", at_horizon(forecast, self.lead_s), fresh=True, foresees=True)
        self._seen = growth.kept(self._seen, growth.Seen(now, float(carried)))
        rise = growth.rise(self._seen, self.lead_s + self.period_s)
        demand = fleet([report], self.lead_s, 1.0)
        self._record = foresight.kept(self._record, now, demand.seen, self.lead_s)
        demand = replace(demand, rise=rise, pays=self._record.pays)
        verdict = decide(self._rules, State(nodes, self._state.recent, self._state.observed_at), demand, now)
        self._state = State(verdict.target, verdict.recent, now)
        return verdict.target


@dataclass(slots=True)
class Reactive:
    """The rule of a HorizontalPodAutoscaler: every 15 s, up by four or to double, down to the most of 5 minutes."""

    day: Day
    headroom: int
    name: str = "hpa"
    extra: float = 1.0
    down_s: int = DOWN_S
    period_s: int = 15
    _wanted: list[int] = field(default_factory=list)

    def wants(self, step: int, nodes: int) -> int:
        called = ceil(self._demand(step) * (1 + self.headroom / 100) * self.extra - 1e-9)
        if nodes and abs(called / nodes - 1) <= TOLERANCE:
            called = nodes
        self._wanted = [*self._wanted, called][-(self.down_s // self.period_s) :]
        if called < nodes:
            called = min(nodes, max(self._wanted))
        return min(max(min(called, max(nodes + 4, 2 * nodes)), MIN_NODES), MAX_NODES)

    def _demand(self, step: int) -> float:
        return self.now(step)

    def now(self, step: int) -> float:
        return float(self.day.demand[max(0, step - self.period_s // STEP_S) : step].mean())


@dataclass(slots=True)
class Linear(Reactive):
    """A line through the last two minutes, drawn on by the lead time; never below present demand."""

    lead_s: int = 60
    window_s: int = 120

    def _demand(self, step: int) -> float:
        past = self.day.demand[max(0, step - self.window_s // STEP_S) : step]
        at = np.arange(len(past)) - len(past)
        slope, level = np.polyfit(at, past, 1)
        return max(self.now(step), float(level + slope * self.lead_s / STEP_S))


@dataclass(slots=True)
class HoltWinters(Reactive):
    """Level, trend and an hour's season, smoothed every 15 s; its answer at the lead time, never below the present."""

    lead_s: int = 60
    season_s: int = 3_600
    _level: float = 0.0
    _trend: float = 0.0
    _season: list[float] = field(default_factory=list)
    _seen: int = 0

    ALPHA, BETA, GAMMA = 0.2, 0.01, 0.3

    def _demand(self, step: int) -> float:
        seasons = self.season_s // self.period_s
        if not self._season:
            self._season, self._level = [0.0] * seasons, self.now(step)
        at, now, before = self._seen % seasons, self.now(step), self._level
        self._level = self.ALPHA * (now - self._season[at]) + (1 - self.ALPHA) * (self._level + self._trend)
        self._trend = self.BETA * (self._level - before) + (1 - self.BETA) * self._trend
        self._season[at] = self.GAMMA * (now - self._level) + (1 - self.GAMMA) * self._season[at]
        self._seen += 1
        ahead = round(self.lead_s / self.period_s)
        coming = self._season[(self._seen - 1 + ahead) % seasons]
        return max(now, self._level + ahead * self._trend + coming)


@dataclass(slots=True)
class Static:
    """As many as the busiest step ever needs, always."""

    day: Day
    name: str = "static"
    period_s: int = 10

    def wants(self, step: int, nodes: int) -> int:  # noqa: ARG002  the port's, which it needs nothing of
        return max(MIN_NODES, ceil(float(self.day.demand.max())))


@dataclass(slots=True)
class Oracle:
    """Knows demand until new nodes could come: as few as suffice at the time they serve, for ten seconds each."""

    day: Day
    lead_s: int
    name: str = "oracle"
    period_s: int = 10

    def wants(self, step: int, nodes: int) -> int:
        coming = self.day.demand[step : step + (self.lead_s + self.period_s) // STEP_S + 1]
        return max(MIN_NODES, ceil(float(coming.max())) if len(coming) else nodes)
