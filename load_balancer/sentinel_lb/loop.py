"""The tick: observe, predict, decide, act, report, ten times a second. One that fails changes nothing: the kernel goes
on with what it was told, and readiness that nobody renews ages out to plain Maglev."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import structlog

from sentinel_api.errors import SentinelError
from sentinel_core.rules import compiled
from sentinel_lb.decide import elsewhere, intent, seats, services, speakers, states, strays, turns, weights
from sentinel_lb.predict import expected, smoothed
from sentinel_mesh.priority import go_first

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sentinel_api.v1alpha1.balancerconfig import BalancerConfig
    from sentinel_core.rules import Rule
    from sentinel_lb.act.hands import Hands
    from sentinel_lb.decide.intent import Intent
    from sentinel_lb.decide.seats import Seats
    from sentinel_lb.decide.services import Service
    from sentinel_lb.decide.states import Standing
    from sentinel_lb.decide.weights import Weights
    from sentinel_lb.observe import Observer, World

PERIOD_NS: Final = 100_000_000
DOUBT_NS: Final = 10_000_000
"""Suspicions do not wait for the tick: until they are told, a dead node's flows stay where they are."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, eq=False)
class Tick:
    """Everything there is to tell about one tick; `announced` are the addresses that this balancer speaks for."""

    seq: int
    at_ns: int
    took_ns: int
    config: BalancerConfig
    names: Mapping[int, str]
    world: World
    standings: tuple[Standing, ...]
    services: tuple[Service, ...]
    weights: Weights
    intended: Intent
    announced: tuple[str, ...]


@dataclass(slots=True)
class Totals:
    """Counters that only grow while the process lives."""

    ticks: int = 0
    missed: int = 0
    failed: int = 0


@dataclass(slots=True)
class Loop:
    """Owned by the tick's thread; others give it a new configuration by storing one reference."""

    name: str
    hands: Hands
    observer: Observer
    publish: Callable[[Tick], None]
    config: BalancerConfig
    totals: Totals = field(default_factory=Totals)
    wanted: BalancerConfig | None = None
    last: Tick | None = None
    _seats: Seats = field(default_factory=dict)
    _rules: Sequence[Rule] = ()
    _rates: dict[int, float] = field(default_factory=dict)
    _complaint: str = ""
    _others: frozenset[str] | None = None
    _silent: frozenset[int] = frozenset()
    _strays: strays.Strays = field(default_factory=strays.Strays)
    _chosen: elsewhere.Choices = field(default_factory=dict)
    _turns: turns.Turns = field(default_factory=turns.Turns)
    _stopped: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        if self.hands.found():
            self._others = frozenset()  # a predecessor's flows are known
        self._settle(self.config)

    def run(self) -> None:
        """On the grid until `stop`; late ticks are dropped and counted, never queued."""
        log.info("tick_scheduled", as_=go_first())
        deadline_ns = time.monotonic_ns()
        while not self._stopped.is_set():
            self._try()
            missed = max(0, time.monotonic_ns() - deadline_ns) // PERIOD_NS
            self.totals.missed += missed
            deadline_ns += (missed + 1) * PERIOD_NS
            if self._doubt_until(deadline_ns, or_news=True):
                self._try()
                self._doubt_until(deadline_ns)

    def stop(self) -> None:
        self._stopped.set()

    def tick(self) -> Tick:
        began_ns = time.monotonic_ns()
        world = self.observer.look(self._seats.values())
        wanted = services.services(self.config, self._seats)
        foreseen = self._predict(world, wanted)
        decided = self._over_zones(world, self._judge(world))
        standings = self._in_turn(world, decided)
        names = {0: "unmatched"} | {number: name for name, number in self.config.ids.items()}
        shares = weights.route([_node(each) for each in decided], sorted(names))
        mine = self._spoken_for(world, services.announced(wanted, standings))
        self._expect_strays(world, wanted)
        self.hands.carry_out(self.config, world, standings, wanted, mine)
        self._forget_ended(standings)
        self.totals.ticks += 1
        return Tick(
            seq=self.totals.ticks,
            at_ns=began_ns,
            took_ns=time.monotonic_ns() - began_ns,
            config=self.config,
            names=names,
            world=world,
            standings=standings,
            services=wanted,
            weights=shares,
            intended=intent.intended(
                (each.seat.spec.name for each in standings),
                {class_id: each.share for class_id, each in shares.items()},
                foreseen,
            ),
            announced=mine,
        )

    def _doubt_until(self, deadline_ns: int, *, or_news: bool = False) -> bool:
        """Whether it ended early, as somebody fell silent: the others are told at once what that will bring them, and
        not by the next tick."""
        while (left_ns := max(0, deadline_ns - time.monotonic_ns())) and not self._stopped.is_set():
            self._stopped.wait(min(left_ns, DOUBT_NS) / 1e9)
            silent = self.observer.silent(self._seats.values())
            self.hands.doubt(silent)
            before, self._silent = self._silent, frozenset(silent)
            if or_news and self._silent - before:
                return True
        return False

    def _try(self) -> None:
        """An error is told once for each kind of it, counted always, and ends this tick only."""
        try:
            wanted = self.wanted
            if wanted is not None and wanted is not self.config:
                self._settle(wanted)
            self.last = self.tick()
            self.publish(self.last)
            self._complaint = ""
        except SentinelError as error:
            self.totals.failed += 1
            if str(error) != self._complaint:
                log.warning("tick_failed", error=str(error), failed=self.totals.failed)
            self._complaint = str(error)

    def _settle(self, config: BalancerConfig) -> None:
        """Seats first: what cannot be seated is refused before anything is changed."""
        self.wanted = None
        self._seats = seats.seated(self._seats, config.backends, self.hands.found(), time.monotonic_ns())
        self._rules = compiled(config.traffic_classes, config.ids, "Ingress")
        self.hands.configure(config)
        self.config = config
        log.info("configured", backends=len(config.backends), vips=len(config.vips))

    def _predict(self, world: World, wanted: Sequence[Service]) -> dict[int, float]:
        """Bytes per second of each class in the next second, for all nodes together."""
        measured: dict[int, float] = {}
        for service in wanted:
            index = self.hands.index_of(service)
            if index is not None and service.port == service.counts_for:
                class_id = services.class_of(service, self._rules)
                rate = float(world.vip_bytes[index]) * 1e9 / max(world.elapsed_ns, 1)
                measured[class_id] = measured.get(class_id, 0.0) + rate
        self._rates = smoothed(self._rates, measured)
        seated = {seat.spec.name for seat in self._seats.values()}
        return expected(self._rates, (each for name, each in world.members.items() if name in seated))

    def _judge(self, world: World) -> tuple[Standing, ...]:
        drain_ns = self.config.drain_seconds * 1_000_000_000
        return tuple(
            states.standing(
                seat,
                states.Evidence(
                    member=world.members.get(seat.spec.name),
                    probe=world.probes[seat.number],
                    ended=seats.over(seat, world.now_ns, int(world.last_packet_ns[seat.number]), drain_ns),
                    way=self.hands.missing_way(seat, world.ways),
                    was=self.hands.state_of(seat),
                ),
                world.now_ns,
            )
            for seat in self._seats.values()
        )

    def _over_zones(self, world: World, standings: tuple[Standing, ...]) -> tuple[Standing, ...]:
        """Where the mesh hears this zone only, others are known by their sums."""
        if not world.zone_of:
            self._chosen = {}
            return standings
        known = elsewhere.Elsewhere(world.zone_of, world.zones, world.round_trips_ns, world.probes)
        self._chosen = elsewhere.choices(known, standings, (0, *self.config.ids.values()), self._chosen)
        return elsewhere.roomy(known, standings, self._chosen, world.zone, world.now_ns)

    def _in_turn(self, world: World, standings: tuple[Standing, ...]) -> tuple[Standing, ...]:
        """Who takes new flows changes when the nodes that will get them had the time to make room."""
        ticks = turns.ticks_of(standings, world.members)
        self._turns = turns.turns(self._turns, standings, ticks, world.now_ns)
        return turns.in_force(standings, self._turns)

    def _expect_strays(self, world: World, wanted: Sequence[Service]) -> None:
        others, idle_ns = frozenset(world.balancers), strays.longest_idle(wanted)
        self._strays = strays.strays(self._strays, self._others, others, world.now_ns, idle_ns)
        self._others = others
        self.hands.expect(self._strays)

    def _spoken_for(self, world: World, alive: Sequence[str]) -> tuple[str, ...]:
        """On a segment each address has one speaker; to routers every balancer tells all of them."""
        if self.config.announce.mode == "BGP":
            return tuple(alive)
        if self.config.announce.mode == "Off" or (self.config.draining and world.balancers):
            return ()
        return speakers.spoken_for(self.name, world.balancers, alive)

    def _forget_ended(self, standings: Sequence[Standing]) -> None:
        ended = [each.seat for each in standings if not each.present and not each.seat.listed]
        for seat in ended:
            self.hands.forget(seat)
        self._seats = seats.without(self._seats, (seat.key for seat in ended))


def _node(each: Standing) -> weights.Node:
    said = each.state is weights.State.READY
    return weights.Node(
        name=each.seat.spec.name,
        state=each.state,
        capacity=each.seat.spec.capacity,
        load=float(each.load),
        headroom=dict(enumerate(each.room)) if said else None,
    )
