"""The tick: observe, predict, decide, act, report. Any error but a failed prediction ends it unanswered; the lease
then lets go in the kernel, so that a broken agent slows nothing down."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import structlog

from sentinel_agent.act.orders import OrderTable
from sentinel_agent.decide.policy import Chosen, Moment, Standing, decide, standing
from sentinel_agent.observe import Observer
from sentinel_agent.predict.port import Forecaster, Foreseeing, PredictionFailed
from sentinel_api.errors import Transient
from sentinel_api.records import CLASSES
from sentinel_core.room import Held, Outlook, Seen, start
from sentinel_core.sample import PERIOD_NS, Valid
from sentinel_core.score import LiveScore, Marks

if TYPE_CHECKING:
    from collections.abc import Callable

    from sentinel_agent.clock import Beat
    from sentinel_agent.observe import Seen as Observed
    from sentinel_agent.plane import Plane
    from sentinel_api.v1alpha1.nodeconfig import NodeConfig
    from sentinel_core.forecast import Forecast
    from sentinel_core.sample import Snapshot

LEASE_NS: Final = 5 * PERIOD_NS  # orders outlive four missed ticks, then the data plane lets go

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, eq=False)
class Tick:
    """Everything there is to tell about one tick; what people see is made from this and nothing else."""

    seq: int
    at_ns: int
    wall_ns: int
    took_ns: int
    missed: int
    config_digest: str
    pool_bytes: int
    names: dict[int, str]
    observed: Observed
    forecast: Forecast
    marks: Marks
    chosen: Chosen


@dataclass(slots=True)
class Totals:
    """Counters that only grow while the process lives."""

    ticks: int = 0
    missed: int = 0
    failed: int = 0
    fallbacks: int = 0
    resized: int = 0


@dataclass(slots=True)
class Loop:
    """Owned by the tick's thread. Others give it a new configuration by storing one reference."""

    plane: Plane
    forecaster: Foreseeing
    fallback: Forecaster
    publish: Callable[[Tick], None]
    config: NodeConfig
    totals: Totals = field(default_factory=Totals)
    last_tick_ns: int = 0
    wanted: NodeConfig | None = None
    _digest: str = field(init=False)
    _rules: Standing = field(init=False)
    _observer: Observer = field(init=False)
    _orders: OrderTable = field(init=False)
    _held: Held = field(init=False)
    _score: LiveScore = field(init=False)

    def __post_init__(self) -> None:
        self._orders = OrderTable(self.plane)
        self._held = start(time.monotonic_ns())
        self._score = _live_score(self.config)
        self._settle(self.config)

    def tick(self, beat: Beat) -> None:
        """Called on the grid. An error is told once for each kind of it, counted always, and ends this tick only."""
        self.totals.missed += beat.missed
        try:
            self._adopt()
            self._tick(beat)
        except Transient as error:
            self.totals.failed += 1
            log.warning("tick_failed", error=str(error), failed=self.totals.failed)

    @property
    def counters(self) -> Snapshot:
        """As the last tick read them."""
        return self._observer.latest

    def let_go(self) -> None:
        """End every lease now: packets pass untouched from here on."""
        self._orders.end()

    def _tick(self, beat: Beat) -> None:
        began_ns = time.monotonic_ns()
        observed = self._observer.look()
        forecast = self._predict(observed)
        wall_ns = time.time_ns()
        moment = Moment(wall_ns // 10**6, LEASE_NS // 10**6)
        chosen = decide(self._rules, _seen(observed), self._outlook(forecast), self._held, moment)
        self._act(chosen, began_ns)
        self._held = chosen.allocation.held
        self.totals.ticks += 1
        self.last_tick_ns = time.monotonic_ns()
        self.publish(
            Tick(
                seq=self.totals.ticks,
                at_ns=began_ns,
                wall_ns=wall_ns,
                took_ns=self.last_tick_ns - began_ns,
                missed=beat.missed,
                config_digest=self._digest,
                pool_bytes=self.config.pool.max_bytes,
                names=dict(self._rules.names),
                observed=observed,
                forecast=forecast,
                marks=self._score.marks(),
                chosen=chosen,
            )
        )

    def _predict(self, observed: Observed) -> Forecast:
        """The fallback sees every sample too, so that it is warm when it is needed."""
        spare = self.fallback.predict(observed.sample)
        try:
            forecast = self.forecaster.predict(observed.sample)
        except PredictionFailed as error:
            if not self.totals.fallbacks:
                log.warning("prediction_failed", error=str(error), fallback=self.fallback.name)
            self.totals.fallbacks += 1
            self._score.step(None, np.zeros(CLASSES, np.bool_))
            return spare
        self._score.step(forecast, self.forecaster.began)
        return forecast

    def _outlook(self, forecast: Forecast) -> Outlook | None:
        """Smoothing names no onset, so there is nothing in it to act on; what does is believed as far as it was right
        lately."""
        return None if forecast.source == self.fallback.name else Outlook(forecast, self._score.trust)

    def _act(self, chosen: Chosen, now_ns: int) -> None:
        if not self.plane.enforcing:
            return
        before = self.totals.resized
        self.plane.buffer.resize(chosen.limit_bytes)
        self.totals.resized = before + len(chosen.decisions)
        self._orders.write(chosen.orders, now_ns + LEASE_NS)

    def _adopt(self) -> None:
        """A configuration that came in since the last tick; the queue's classes change under traffic."""
        wanted, self.wanted = self.wanted, None
        if wanted is None or wanted == self.config:
            return
        self.plane.configure(wanted)
        self._settle(wanted)
        log.info("config_adopted", digest=wanted.digest)

    def _settle(self, config: NodeConfig) -> None:
        if config.model.gate != self._score.gate:
            self._score = _live_score(config)
        self.config = config
        self._digest = config.digest
        self._rules = standing(config, self.plane.place.interface.rate_bytes_per_s)
        self._observer = Observer(self.plane, self._rules.share_bps)


def _live_score(config: NodeConfig) -> LiveScore:
    return LiveScore(CLASSES, PERIOD_NS / 1e9, config.model.gate)


def _seen(observed: Observed) -> Seen:
    sample = observed.sample
    return Seen(
        now_ns=sample.t_ns,
        arrivals=sample.per_second("bytes"),
        drain=observed.drain_bps,
        backlog_bytes=sample.backlog_bytes.astype(np.int64),
        flow_floor_bytes=np.zeros(CLASSES, np.int64),
        measured=sample.has(Valid.COUNTERS | Valid.QUEUE),
    )
