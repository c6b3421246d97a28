"""The only writer: carries one tick's decision into the kernel's tables, to the prober, and to the network."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Final

import structlog

from sentinel_core.rules import PROTOCOLS
from sentinel_lb.act.checkup import Check
from sentinel_lb.act.prober import Round, Target
from sentinel_lb.act.services import ServiceTable
from sentinel_lb.act.tables import Address, Source
from sentinel_lb.decide.prober import period_ns
from sentinel_lb.decide.services import FRAGMENTS, spared, sparing
from sentinel_lb.decide.strays import Strays
from sentinel_lb.decide.weights import State

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from sentinel_api.v1alpha1.balancerconfig import BalancerConfig
    from sentinel_lb.act.announce.port import Announcer
    from sentinel_lb.act.checkup import Checkup
    from sentinel_lb.act.plane import Plane
    from sentinel_lb.act.prober import Prober
    from sentinel_lb.decide.seats import Found, Seat
    from sentinel_lb.decide.services import Service
    from sentinel_lb.decide.states import Standing
    from sentinel_lb.observe import World
    from sentinel_lb.ways import Scout, Uplink, Way, Ways

ENCAPS: Final = {"IPIP": "IP", "UDP": "UDP", "None": "L2"}

log = structlog.get_logger()


class Hands:
    """Used by the tick's thread; what is as it should be is not written again."""

    def __init__(
        self,
        plane: Plane,
        prober: Prober,
        checkup: Checkup,
        scout: Scout,
        announcer_of: Callable[[BalancerConfig], Announcer],
    ) -> None:
        self._plane = plane
        self._prober = prober
        self._checkup = checkup
        self._scout = scout
        self._announcer_of = announcer_of
        self._announcer: Announcer | None = None
        self._announced_by = ""
        self._services = ServiceTable(plane.tables)
        self._ways: dict[int, tuple[str, Way, str]] = {}
        self._inherited = {number: found.address for number, found in plane.tables.found().items()}
        self._source: Source | None = None
        self._mac = b""
        self._states: dict[str, State] = {}
        self._strays = Strays()
        self.spared: Mapping[tuple[str, int], frozenset[int]] = {}
        """Of each service the nodes that new clients are kept from, by number, as the kernel was told last."""

    def found(self) -> Mapping[int, Found]:
        return self._plane.tables.found()

    def configure(self, config: BalancerConfig) -> None:
        """Rules of the classes, and who is to be looked for; the announcer is told what it may announce."""
        self._plane.classify(config)
        self._scout.seek(frozenset(str(ipaddress.ip_address(each.address)) for each in config.backends))
        mode = config.announce.mode
        if self._announcer is None or mode != self._announced_by:
            if self._announcer is not None:
                self._announcer.withdraw()
            self._announcer, self._announced_by = self._announcer_of(config), mode
        self._announcer.configure(config)

    def missing_way(self, seat: Seat, ways: Ways) -> str:
        """Why packets for it would have no way, or an empty string. One that was known once is kept, by a predecessor
        too: when it ends, probes and mesh say so together."""
        if self._reached(seat):
            return ""
        return ways.refused.get(str(ipaddress.ip_address(seat.spec.address)), "its next hop was not found yet")

    def _reached(self, seat: Seat) -> bool:
        """Packets go there: whoever is sent any must be probed too, or he would be found dead unasked."""
        address = str(ipaddress.ip_address(seat.spec.address))
        return seat.number in self._ways or self._inherited.get(seat.number) == address

    def state_of(self, seat: Seat) -> State | None:
        """As the last tick had it."""
        return self._states.get(seat.spec.name)

    def index_of(self, service: Service) -> int | None:
        """Of its counters, once it is served."""
        return self._services.index_of(Address(service.address, service.port, service.protocol))

    def carry_out(
        self,
        config: BalancerConfig,
        world: World,
        standings: Sequence[Standing],
        wanted: Sequence[Service],
        addresses: Sequence[str],
    ) -> None:
        self._put_source(config, world.ways.uplink)
        self._put_ways(config, world, standings)
        self._plane.tables.tell(standings)
        self._spare(wanted, standings)
        self._services.sync(sparing(wanted, self.spared))
        targets = self._aim(config, world.ways.uplink, standings)
        self._checkup.aim(checks_of(wanted, world.ways.uplink, targets, standings))
        self._note_changes(standings)
        if self._announcer is not None:
            self._announcer.announce(addresses, sure=world.hears)

    def expect(self, strays: Strays) -> None:
        """These UDP flows go by way of the candidate that they would not have been given."""
        if strays != self._strays:
            self._plane.tables.put_strays(strays.from_ns, strays.until_ns)
            self._strays = strays
            log.info("strays_expected", seconds=(strays.until_ns - strays.from_ns) / 1e9)

    def doubt(self, numbers: Sequence[int]) -> None:
        """Until the next tick tells their whole state; by the tick's thread too."""
        if numbers:
            self._plane.tables.doubt(numbers)

    def forget(self, seat: Seat) -> None:
        self._plane.tables.forget_backend(seat.number)
        self._ways.pop(seat.number, None)
        self._inherited.pop(seat.number, None)
        log.info("backend_removed", backend=seat.spec.name, number=seat.number)

    def close(self, *, hand_back: bool = False) -> None:
        """What is announced stays announced unless everything is handed back: the data plane goes on."""
        if hand_back and self._announcer is not None:
            self._announcer.withdraw()
        self._services.close()

    def _put_source(self, config: BalancerConfig, uplink: Uplink) -> None:
        source = source_of(config.sources, uplink)
        if source != self._source:
            self._plane.tables.put_source(source)
            self._source = source
        if uplink.mac != self._mac:
            self._plane.tables.put_mac(uplink.mac)
            self._mac = uplink.mac

    def _put_ways(self, config: BalancerConfig, world: World, standings: Sequence[Standing]) -> None:
        encap = ENCAPS[config.encapsulation]
        for each in standings:
            address = str(ipaddress.ip_address(each.seat.spec.address))
            way = world.ways.to.get(address)
            if way is None or self._ways.get(each.seat.number) == (address, way, encap):
                continue
            self._plane.tables.put_backend(each.seat.number, address, mac=way.mac, mtu=way.mtu, encap=encap)
            self._ways[each.seat.number] = (address, way, encap)

    def _aim(self, config: BalancerConfig, uplink: Uplink, standings: Sequence[Standing]) -> tuple[Target, ...]:
        encap = ENCAPS[config.encapsulation]
        targets = tuple(
            Target(each.seat.number, each.seat.spec.address, uplink.source(each.seat.spec.address), encap)
            for each in standings
            if self._reached(each.seat) and uplink.source(each.seat.spec.address)
        )
        wanted = Round(period_ns(config.probe_interval_millis, len(targets)), targets)
        if wanted != self._prober.aimed:
            self._prober.aim(wanted)
        return targets

    def _spare(self, wanted: Sequence[Service], standings: Sequence[Standing]) -> None:
        living = {each.seat.number for each in standings if each.present and each.state in (State.READY, State.BUSY)}
        before, self.spared = self.spared, spared(wanted, self._checkup.avoided, living)
        if before != self.spared:
            names = {each.seat.number: each.seat.spec.name for each in standings}
            for key in sorted(before.keys() | self.spared.keys()):
                if before.get(key) != self.spared.get(key):
                    kept_from = sorted(names.get(each, str(each)) for each in self.spared.get(key, ()))
                    log.info("service_avoids", vip=key[0], port=key[1], backends=kept_from)

    def _note_changes(self, standings: Sequence[Standing]) -> None:
        for each in standings:
            name = each.seat.spec.name
            if self._states.get(name) is not each.state:
                self._states[name] = each.state
                log.info("backend_state", backend=name, state=each.state.value, reason=each.reason)


def checks_of(
    wanted: Sequence[Service], uplink: Uplink, targets: Sequence[Target], standings: Sequence[Standing]
) -> tuple[Check, ...]:
    """Each TCP service by way of its nodes that live; without a tunnel nothing could be asked in a client's place."""
    living = {each.seat.number for each in standings if each.present and each.state is not State.DEAD}
    ways = {each.number: each for each in targets if each.number in living and each.encap != "L2"}
    found = []
    for service in wanted:
        source = uplink.source(service.address)
        mine = tuple(ways[each.number] for each in service.members if each.number in ways)
        if service.protocol == PROTOCOLS["TCP"] and service.port != FRAGMENTS and source and mine:
            found.append(Check(service.address, service.port, source, mine))
    return tuple(found)


def source_of(ranges: Sequence[str], uplink: Uplink) -> Source:
    """The interface's own address, or a range over whose low bits flows are spread."""
    found = {
        4: (ipaddress.ip_address(uplink.address4 or "0.0.0.0"), 0),  # noqa: S104  says that there is none
        6: (ipaddress.ip_address(uplink.address6 or "::"), 0),
    }
    for each in ranges:
        network = ipaddress.ip_network(each, strict=False)
        varying = network.max_prefixlen - network.prefixlen
        found[network.version] = (network.network_address, (1 << min(varying, 32)) - 1)
    (here4, vary4), (here6, vary6) = found[4], found[6]
    assert isinstance(here4, ipaddress.IPv4Address)
    assert isinstance(here6, ipaddress.IPv6Address)
    return Source(here4, here6, vary4, vary6)
