"""The tick: observe, predict, decide, act, report, learn. Any error but a failed prediction ends it unanswered; the
lease then lets go in the kernel, so that a broken agent slows nothing down."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np
import structlog

from sentinel_agent.decide.policy import Chosen, Moment, Standing, class_names, decide, standing
from sentinel_agent.hints import Hints, no_hints
from sentinel_agent.loans import Loans
from sentinel_agent.tick import Pool, Tick
from sentinel_agent.timing import Timings
from sentinel_api.errors import Invalid, Transient, Unsupported
from sentinel_api.records import CLASSES
from sentinel_bpf.buffer.port import Direction, Tier
from sentinel_core.forecast import Forecast
from sentinel_core.neighbours import informed
from sentinel_core.room import Held, Outlook, Seen, start
from sentinel_core.sample import PERIOD_NS, Valid
from sentinel_core.shadow import Shadow

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from sentinel_agent.clock import Beat
    from sentinel_agent.lane import Lane
    from sentinel_agent.observe import Seen as Observed
    from sentinel_api.v1alpha1.nodeconfig import NodeConfig
    from sentinel_core.precursor import Signs

    Bools = NDArray[np.bool_]

LEASE_NS: Final = 5 * PERIOD_NS  # orders outlive four missed ticks, then the data plane lets go

MEASURED: Final = Valid.COUNTERS | Valid.QUEUE

log = structlog.get_logger()


@dataclass(slots=True)
class Totals:
    """Counters that only grow while the process lives."""

    ticks: int = 0
    missed: int = 0
    failed: int = 0
    resized: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """One interface in one tick: what was seen, what is expected, and the signs between the two."""

    lane: Lane
    observed: Observed
    forecast: Forecast
    signs: Signs


@dataclass(slots=True)
class Loop:
    """Owned by the tick's thread. Others give it a new configuration by storing one reference."""

    lanes: Sequence[Lane]
    publish: Callable[[Tick], None]
    config: NodeConfig
    hints: Callable[[Bools, int], Hints] = no_hints
    """What other nodes tell, given in which classes a burst began here; must not wait."""
    totals: Totals = field(default_factory=Totals)
    timings: Timings = field(default_factory=Timings)
    last_tick_ns: int = 0
    blind: Mapping[str, str] = field(default_factory=dict)
    """Interfaces that are not there, and since what; the others are steered."""
    wanted: NodeConfig | None = None
    refused: str = ""
    """Why the newest configuration is not in force; the one before is."""
    _digest: str = field(init=False)
    _frames: list[int] = field(init=False)
    _rules: Standing = field(init=False)
    loans: Loans = field(init=False)
    shadow: Shadow = field(init=False)
    """The queues of interfaces that are only observed."""
    _held: Held = field(init=False)
    _hints: Hints = field(default_factory=no_hints)
    _failing: str = ""

    def __post_init__(self) -> None:
        rows = len(self.lanes) * CLASSES
        self._held = start(time.monotonic_ns(), rows)
        self.loans = Loans(rows)
        self._settle(self.config)

    @property
    def fallbacks(self) -> int:
        return sum(lane.fallbacks for lane in self.lanes)

    def tick(self, beat: Beat) -> None:
        """Called on the grid. An error is told when it is a new one, counted always, and ends this tick only."""
        self.totals.missed += beat.missed
        try:
            self._adopt()
            self._tick(beat)
            self._failing = ""
        except Transient as error:
            self.totals.failed += 1
            if str(error) != self._failing:
                log.warning("tick_failed", error=str(error), failed=self.totals.failed)
            self._failing = str(error)

    def let_go(self) -> None:
        for lane in self.lanes:
            lane.let_go()

    def _tick(self, beat: Beat) -> None:
        began_ns, lap = self.timings.begin(), self.timings.lap
        observed = self._observe()
        lap()
        looks = self._predict(observed)
        lap()
        wall_ns = time.time_ns()
        moment = Moment(wall_ns // 10**6, LEASE_NS // 10**6)
        chosen = decide(self._rules, self._seen(looks, began_ns), self._outlook(looks), self._held, moment)
        self.shadow.order(chosen.allocation)
        lap()
        self._act(looks, chosen, began_ns)
        self._held = chosen.allocation.held
        lap()
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
                pool=self._pool(looks, chosen),
                lanes=tuple(look.lane.told(look.observed, look.forecast, look.signs) for look in looks),
                chosen=chosen,
                blind={**self.blind, **{lane.name: lane.trouble for lane in self.lanes if lane not in observed}},
            )
        )
        lap()
        for lane in observed:
            lane.learn()
        lap()

    def _observe(self) -> dict[Lane, Observed]:
        """One interface that cannot be read leaves the others steered; none at all ends the tick."""
        observed = {lane: seen for lane in self.lanes if (seen := lane.look()) is not None}
        if not observed:
            raise Transient("; ".join(lane.trouble for lane in self.lanes) or "there is no interface to steer")
        return observed

    def _predict(self, observed: dict[Lane, Observed]) -> list[Look]:
        forecasts = {lane: lane.predict(seen) for lane, seen in observed.items()}
        began = np.any([lane.began for lane in forecasts], axis=0)
        self._hints = self.hints(began, time.monotonic_ns())
        return [
            Look(lane, seen, forecasts[lane], lane.signs(seen, self._hints.alarm)) for lane, seen in observed.items()
        ]

    def _seen(self, looks: Sequence[Look], now_ns: int) -> Seen:
        """Rows of all interfaces; those of one that could not be read count as not measured."""
        rows = len(self._rules.share_bps)
        seen = Seen(
            now_ns=max((look.observed.sample.t_ns for look in looks), default=now_ns),
            arrivals=np.zeros(rows),
            drain=self._rules.share_bps.copy(),
            backlog_bytes=np.zeros(rows, np.int64),
            flow_floor_bytes=np.zeros(rows, np.int64),
            measured=np.zeros(rows, np.bool_),
            warning=np.zeros(rows),
            announced=np.zeros(rows),
            refused_bytes=np.zeros(rows),
            sudden_bytes=np.zeros(rows),
        )
        assert seen.warning is not None
        assert seen.announced is not None
        assert seen.refused_bytes is not None
        assert seen.sudden_bytes is not None
        entries = sum(_enters(look.lane) for look in looks)
        for look in looks:
            own, sample = _rows(look.lane), look.observed.sample
            seen.arrivals[own] = sample.per_second("bytes")
            seen.drain[own] = look.observed.drain_bps
            seen.backlog_bytes[own] = sample.backlog_bytes
            seen.flow_floor_bytes[own] = look.lane.flows.floor_bytes
            seen.measured[own] = sample.has(MEASURED)
            seen.refused_bytes[own] = sample.refused_bytes()
            seen.sudden_bytes[own] = look.lane.brains.surges.bytes
            seen.warning[own] = look.signs.warning
            if _enters(look.lane):  # balancers know nodes, not which of a node's doors a packet takes
                seen.announced[own] = self._hints.announced_bps / entries
        self._imagine(looks, seen)
        return seen

    def _imagine(self, looks: Sequence[Look], seen: Seen) -> None:
        """Where there is no queue, the policy is shown one that is kept for it: else an agent that only observes would
        decide nothing, and nobody could say what it would have done."""
        imagined = self.shadow.imagined
        if not imagined.any() or not looks:
            return
        seconds = max(look.observed.sample.period_ns for look in looks) / 1e9
        self.shadow.arrive(seen.arrivals * seconds, seconds)
        seen.backlog_bytes[imagined] = self.shadow.backlog_bytes[0, imagined].astype(np.int64)
        seen.measured[imagined] = True
        assert seen.refused_bytes is not None
        seen.refused_bytes[imagined] = self.shadow.refused_bytes[0, imagined]

    def _outlook(self, looks: Sequence[Look]) -> Outlook | None:
        """Of all interfaces, as old as the oldest; one whose forecaster failed is trusted with nothing."""
        known = {look.lane: found for look in looks if (found := self._told_too(look)) is not None}
        if not known:
            return None
        if len(self.lanes) == 1:
            return next(iter(known.values()))
        some = next(iter(known.values())).forecast
        nothing = Outlook(
            Forecast(
                some.made_ns, "none", np.zeros_like(some.hazard), np.zeros_like(some.magnitude_bytes), some.demand
            ),
            np.zeros(CLASSES),
        )
        parts = [known.get(lane, nothing) for lane in self.lanes]
        together = Forecast(
            made_ns=min(part.forecast.made_ns for part in known.values()),
            source=some.source,
            hazard=np.concatenate([part.forecast.hazard for part in parts]),
            magnitude_bytes=np.concatenate([part.forecast.magnitude_bytes for part in parts]),
            demand=np.concatenate([part.forecast.demand for part in parts]),
        )
        return Outlook(together, np.concatenate([part.trust for part in parts]))

    def _told_too(self, look: Look) -> Outlook | None:
        """One interface's own forecast, and the neighbours' word where that expects more."""
        own, word, sample = look.lane.outlook(look.forecast), self._hints.word, look.observed.sample
        if word is None or not _enters(look.lane):
            return own
        return informed(own, word, sample.t_ns, sample.per_second("bytes"))

    def _act(self, looks: Sequence[Look], chosen: Chosen, now_ns: int) -> None:
        """Only where something was seen: orders of an interface that cannot be read run out."""
        self.totals.resized += len(chosen.decisions)
        for look in looks:
            first = look.lane.first_row
            mine = {row - first: row for row in self._rules.names if first <= row < first + CLASSES}
            look.lane.act(
                {each: chosen.limit_bytes[row] for each, row in mine.items()},
                {each: chosen.orders[row] for each, row in mine.items()},
                now_ns + LEASE_NS,
            )

    def _pool(self, looks: Sequence[Look], chosen: Chosen) -> Pool:
        lent = chosen.allocation.lent_bytes
        recalled = self.loans.step(lent)
        return Pool(
            total=self.config.pool.max_bytes,
            granted=int(chosen.allocation.limit_bytes.sum()),
            lent=int(lent.sum()),
            recalled=int(recalled.sum()),
            taken_back=self.loans.lately,
            held=sum(int(look.observed.sample.backlog_bytes.sum()) for look in looks),
        )

    def _adopt(self) -> None:
        """A configuration that came in since the last tick; the queues' classes change under traffic."""
        wanted, self.wanted = self.wanted, None
        if wanted is None or wanted == self.config:
            if self._frames != [lane.plane.frame_bytes for lane in self.lanes]:
                self._settle(self.config)  # a device has other frames now, and limits must let them in
            return
        try:
            for lane in self.lanes:
                lane.plane.configure(wanted)
            self._settle(wanted)
        except (Invalid, Unsupported) as error:
            self._stay(str(error))
            return
        except Transient:
            self.wanted = self.wanted or wanted  # with the next tick, on every interface
            raise
        self.refused = ""
        log.info("config_adopted", digest=wanted.digest)

    def _stay(self, why: str) -> None:
        """With the last good configuration, on every interface."""
        self.refused = why
        log.warning("config_refused", why=why)
        for lane in self.lanes:
            lane.plane.configure(self.config)

    def _settle(self, config: NodeConfig) -> None:
        interfaces = [lane.plane.place.interface for lane in self.lanes]
        self.config = config
        self._digest = config.digest
        self._frames = [lane.plane.frame_bytes for lane in self.lanes]
        self._rules = standing(
            config,
            *(each.rate_bytes_per_s for each in interfaces),
            devices=[f"{each.name} {each.direction.value.lower()}" for each in interfaces],
            frames_bytes=self._frames,
        )
        for lane in self.lanes:
            lane.settle(config, class_names(config), self._rules.share_bps[_rows(lane)])
        self.shadow = Shadow(self._rules.share_bps, self._only_observed())

    def _only_observed(self) -> Bools:
        watched = np.repeat([lane.plane.verdict.tier is Tier.OBSERVE for lane in self.lanes], CLASSES)
        found: Bools = watched & (self._rules.share_bps > 0)
        return found


def _enters(lane: Lane) -> bool:
    return lane.plane.place.interface.direction is Direction.INGRESS


def _rows(lane: Lane) -> slice:
    return slice(lane.first_row, lane.first_row + CLASSES)
