"""One buffered interface within the loop: its plane, what is seen there, what is foreseen, and its table of orders."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import structlog

from sentinel_agent.act.orders import OrderTable
from sentinel_agent.flows import FlowWatch
from sentinel_agent.observe import Observer
from sentinel_agent.predict.port import PredictionFailed
from sentinel_agent.tick import LaneTick
from sentinel_api.errors import Transient
from sentinel_api.records import CLASSES
from sentinel_bpf.flows import FlowSums
from sentinel_core.carried import Carried
from sentinel_core.precursor import Precursors, Signs
from sentinel_core.room import Outlook
from sentinel_core.sample import PERIOD_NS, Valid
from sentinel_core.score import LiveScore
from sentinel_core.surges import Surges

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from sentinel_agent.observe import Seen
    from sentinel_agent.plane import Plane
    from sentinel_agent.predict.port import Foreseeing, Spare
    from sentinel_api.v1alpha1.nodeconfig import NodeConfig
    from sentinel_core.forecast import Forecast
    from sentinel_core.orders import Order
    from sentinel_core.sample import Sample

NOWHERE: Final = np.zeros(CLASSES, np.bool_)

log = structlog.get_logger()


@dataclass(slots=True)
class Brains:
    """What was learned of one interface, by whom; it outlives the plane when that is opened anew."""

    forecaster: Foreseeing
    fallback: Spare
    precursors: Precursors = field(default_factory=lambda: Precursors(CLASSES))
    surges: Surges = field(default_factory=lambda: Surges(CLASSES))
    carried: Carried = field(default_factory=Carried)
    score: LiveScore | None = None


class Lane:
    """Owned by the tick's thread, but for `flows`, which has one of its own."""

    def __init__(self, plane: Plane, brains: Brains, first_row: int) -> None:
        self.plane = plane
        self.brains = brains
        self.first_row = first_row
        self.flows = FlowWatch(plane.loaded.map("sn_flows"), FlowSums(plane.loaded))
        self.trouble = ""
        self.note = ""  # what a person should know and no tick needs
        self.names: Mapping[int, str] = {}
        self.ordered: Mapping[int, int] = {}  # the limits that the kernel last confirmed
        self._orders = OrderTable(plane)
        self._observer: Observer | None = None
        self._unlearned: tuple[Forecast | None, NDArray[np.bool_], Sample | None] | None = None
        self._failed_why = ""  # why the last answer was the fallback's
        self._failures = 0

    @property
    def began(self) -> NDArray[np.bool_]:
        """In which classes a burst began between the last two looks; nobody knows when the forecaster failed."""
        return self.brains.forecaster.began if not self._failed_why else NOWHERE

    @property
    def fault(self) -> str:
        """Why the last answer was not that of the one who should have given it."""
        return self._failed_why or getattr(self.brains.forecaster, "fault", "")

    @property
    def fallbacks(self) -> int:
        """Answers that somebody else gave, since the start."""
        return self._failures + int(getattr(self.brains.forecaster, "failures", 0))

    @property
    def name(self) -> str:
        return self.plane.place.interface.name

    def settle(self, config: NodeConfig, names: Mapping[int, str], share_bps: NDArray[np.float64]) -> None:
        """A new configuration's names and shares; the score starts anew only where the gate did."""
        if self.brains.score is None or config.model.gate != self.brains.score.gate:
            self.brains.score = LiveScore(CLASSES, PERIOD_NS / 1e9, config.model.gate)
        self.names = names
        self._observer = Observer(self.plane, share_bps)

    def look(self) -> Seen | None:
        """None where the interface could not be read; `trouble` then says why, and its lease runs out."""
        assert self._observer is not None
        try:
            seen = self._observer.look()
        except Transient as error:
            self._in_trouble(str(error))
            return None
        if not self.plane.enforcing:
            self._in_trouble("")
        return seen

    def predict(self, seen: Seen) -> Forecast:
        """What the sample teaches waits for `learn`, but for what needs no forecaster: surges, and what is carried."""
        self.learn()  # of a tick that ended before it came to it
        self.brains.surges.step(seen.sample)
        self.brains.carried.step(seen.sample)
        try:
            forecast = self.brains.forecaster.predict(seen.sample)
        except PredictionFailed as error:
            self._failed(error)
            self._unlearned = None, NOWHERE, None
            self.brains.fallback.see(seen.sample)
            return self.brains.fallback.said(seen.sample)
        self._failed_why = ""
        self._unlearned = forecast, self.brains.forecaster.began, seen.sample
        return forecast

    def learn(self) -> None:
        """Once the orders are out: who foretold is judged and ponders, and the fallback sees every sample, so that it
        is warm when it is needed. So no order waits for a lesson, and what was said counts for the next tick's trust.
        """
        if self._unlearned is None:
            return
        assert self.brains.score is not None
        (forecast, began, sample), self._unlearned = self._unlearned, None
        self.brains.score.step(forecast, began)
        self.brains.forecaster.ponder()
        if sample is not None:
            self.brains.fallback.see(sample)

    def signs(self, seen: Seen, alarm: NDArray[np.float64]) -> Signs:
        sample = seen.sample
        fullness = sample.backlog_bytes / np.maximum(sample.limit_bytes, 1)
        return self.brains.precursors.step(
            sample.per_second("bytes"),
            sample.per_second("syns"),
            np.where(sample.has(Valid.QUEUE), fullness, 0.0),
            alarm,
            sample.period_ns / 1e9,
        )

    def outlook(self, forecast: Forecast) -> Outlook | None:
        """A fallback names no onset, so there is nothing in it to act on; what does is believed as far as it was right
        lately."""
        assert self.brains.score is not None
        return None if forecast.source == self.brains.fallback.name else Outlook(forecast, self.brains.score.trust)

    def act(self, limit_bytes: Mapping[int, int], orders: Mapping[int, Order], valid_until_ns: int) -> None:
        """The queue first: an order must not promise what the queue does not hold."""
        if not self.plane.enforcing:
            return
        try:
            self.plane.buffer.resize(limit_bytes)
        except Transient as error:
            self._in_trouble(str(error))
            return
        self.ordered = limit_bytes
        self._orders.write(orders, valid_until_ns)
        self._in_trouble("")

    def let_go(self) -> None:
        """End every lease now: packets pass untouched from here on."""
        self._orders.end()

    def told(self, seen: Seen, forecast: Forecast, signs: Signs) -> LaneTick:
        assert self.brains.score is not None
        assert self._observer is not None
        return LaneTick(
            interface=self.plane.place.interface,
            verdict=self.plane.verdict,
            first_row=self.first_row,
            names=self.names,
            observed=seen,
            counters=self._observer.latest,
            carried_bps=self.brains.carried.bps,
            forecast=forecast,
            marks=self.brains.score.marks(),
            signs=signs,
            began=self.began,
            trouble=self.trouble,
            note=self.note,
        )

    def close(self) -> None:
        """Let go of this process's hold only; what is pinned stays."""
        self.flows.stop()
        self.plane.close()

    def _failed(self, error: PredictionFailed) -> None:
        if not self._failed_why:
            log.warning("prediction_failed", interface=self.name, error=str(error), fallback=self.brains.fallback.name)
        self._failed_why = str(error)
        self._failures += 1

    def _in_trouble(self, why: str) -> None:
        """Told when it changes, not at every tick."""
        if why and why != self.trouble:
            log.warning("interface_unsteered", interface=self.name, why=why)
        elif self.trouble and not why:
            log.info("interface_steered", interface=self.name)
        self.trouble = why
