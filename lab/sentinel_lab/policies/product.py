"""The product's own predict and decide as one policy, for clocks that are not the kernel's: what the agent's tick does
between reading and writing, with whatever predictor it is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from sentinel_agent.decide.policy import Chosen, Moment, decide, standing
from sentinel_agent.observe import BACKLOGGED_BYTES
from sentinel_agent.predict.port import Foreseeing, PredictionFailed
from sentinel_agent.predict.smoothing import Smoothing
from sentinel_api.records import CLASSES
from sentinel_api.v1alpha1.nodeconfig import NodeConfig
from sentinel_core import room
from sentinel_core.precursor import Precursors
from sentinel_core.room import Outlook, start
from sentinel_core.sample import COUNTERS, GAUGES, PERIOD_NS, SOJOURNS, Sample, Valid
from sentinel_core.score import LiveScore
from sentinel_core.surges import Surges
from sentinel_lab.configuration import configuration

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from sentinel_core.forecast import Forecast
    from sentinel_lab.policies.port import Seen
    from sentinel_lab.scenario import Scenario

LEASE_MILLIS = 500


class Predictive:
    """`chosen` is the last tick's outcome, with its reasons."""

    period_s = PERIOD_NS / 1e9

    def __init__(self, name: str, scenario: Scenario, forecaster: Foreseeing) -> None:
        config = NodeConfig.parse(configuration(scenario))
        self.name = name
        self.chosen: Chosen | None = None
        self._rules = standing(config, scenario.drain_bytes_per_s)
        self._forecaster = forecaster
        self._fallback = Smoothing()
        self._precursors = Precursors(CLASSES)
        self._surges = Surges(CLASSES)
        self._score = LiveScore(CLASSES, self.period_s, config.model.gate)
        self._held: room.Held | None = None
        self._drain_bps = self._rules.share_bps.copy()
        self._backlog: dict[int, int] = {}
        self._resizable = tuple(each.id for each in scenario.resizable)

    @property
    def trust(self) -> Mapping[int, float]:
        """How far the forecast of each class is believed, from 0 to 1."""
        return {each: float(self._score.trust[each]) for each in self._resizable}

    def season(self, past: Iterable[Sample]) -> None:
        """What the node went through before the run: learned from and scored, not acted on."""
        for sample in past:
            self._predict(sample)

    def limits(self, seen: Mapping[int, Seen]) -> Mapping[int, int]:
        now_ns = next(iter(seen.values())).now_ns
        if self._held is None:
            self._held = start(now_ns)
        self._measure_drain(seen)
        sample = sample_of(seen)
        outlook = self._predict(sample)
        found = decide(self._rules, self._seen(sample), outlook, self._held, Moment(now_ns // 10**6, LEASE_MILLIS))
        self._held, self.chosen = found.allocation.held, found
        return {each: found.limit_bytes[each] for each in self._resizable}

    def _predict(self, sample: Sample) -> Outlook | None:
        self._fallback.predict(sample)
        self._surges.step(sample)
        try:
            forecast: Forecast = self._forecaster.predict(sample)
        except PredictionFailed:
            self._score.step(None, np.zeros(CLASSES, np.bool_))
            return None
        outlook = Outlook(forecast, self._score.trust)  # as the agent, which judges once its orders are out
        self._score.step(forecast, self._forecaster.began)
        return outlook

    def _seen(self, sample: Sample) -> room.Seen:
        return room.Seen(
            now_ns=sample.t_ns,
            arrivals=sample.per_second("bytes"),
            drain=self._drain_bps,
            backlog_bytes=sample.backlog_bytes.astype(np.int64),
            flow_floor_bytes=np.zeros(CLASSES, np.int64),
            measured=sample.has(Valid.COUNTERS | Valid.QUEUE),
            warning=self._warning(sample),
            refused_bytes=sample.refused_bytes(),
            sudden_bytes=self._surges.bytes,
        )

    def _warning(self, sample: Sample) -> NDArray[np.float64]:
        """No neighbour sounds an alarm here."""
        fullness = np.where(sample.has(Valid.QUEUE), sample.backlog_bytes / np.maximum(sample.limit_bytes, 1), 0.0)
        signs = self._precursors.step(
            sample.per_second("bytes"),
            sample.per_second("syns"),
            fullness,
            np.zeros(CLASSES),
            sample.period_ns / 1e9,
        )
        return signs.warning

    def _measure_drain(self, seen: Mapping[int, Seen]) -> None:
        """As the agent's observer does: the dequeue rate counts only while something waits."""
        for each, mine in seen.items():
            waiting = min(self._backlog.get(each, 0), mine.backlog_bytes) >= BACKLOGGED_BYTES
            self._drain_bps[each] = mine.drained_bytes / mine.elapsed_s if waiting else self._rules.share_bps[each]
            self._backlog[each] = mine.backlog_bytes


def sample_of(seen: Mapping[int, Seen]) -> Sample:
    columns: dict[str, Any] = {name: np.zeros(CLASSES, np.uint64) for name in (*COUNTERS, *GAUGES)}
    columns |= {name: np.zeros(CLASSES, np.uint32) for name in SOJOURNS}
    valid = np.zeros(CLASSES, np.uint8)
    for each, mine in seen.items():
        for name, value in (
            ("bytes", mine.arrived_bytes), ("packets", mine.arrived_packets), ("drops", mine.dropped_packets),
            ("backlog_bytes", mine.backlog_bytes), ("limit_bytes", mine.limit_bytes),
        ):  # fmt: skip
            columns[name][each] = value
        valid[each] = Valid.COUNTERS | Valid.QUEUE
    first = next(iter(seen.values()))
    return Sample(t_ns=first.now_ns, period_ns=max(1, round(first.elapsed_s * 1e9)), valid=valid, **columns)
