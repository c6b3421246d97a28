"""From configuration to what the kernel serves: which ring each VIP has, and which addresses are worth announcing."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from sentinel_core.rules import PROTOCOLS
from sentinel_lb.decide.ring import Member
from sentinel_lb.decide.weights import State

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from sentinel_api.v1alpha1.balancerconfig import BalancerConfig, VipSpec
    from sentinel_core.rules import Rule
    from sentinel_lb.decide.seats import Key, Seat
    from sentinel_lb.decide.states import Standing

FRAGMENTS: Final = 0
"""The port under which the kernel looks for fragments, which have none."""

SETS: Final = 16
"""Different sets of nodes up to which some are avoided: half the rings, as one that changes needs two for a moment."""

Members = tuple[Member, ...]
Avoided = Mapping[tuple[str, int], frozenset[int]]
"""Of services, by address and port, the numbers of nodes."""


@dataclass(frozen=True, slots=True)
class Service:
    """One entry of the kernel's table of VIPs. VIPs with equal members share a ring; `counts_for` shares counters."""

    address: str
    port: int
    protocol: int
    members: Members
    idle_ns: int
    sticky: bool
    counts_for: int  # the port whose counters it adds to


def services(config: BalancerConfig, seats: Mapping[Key, Seat]) -> tuple[Service, ...]:
    """A VIP without a backend is none: its packets are the stack's, which refuses them at once."""
    listed = [seat for seat in seats.values() if seat.listed]
    found: dict[tuple[str, int, int], Service] = {}
    for vip in config.vips:
        members = members_of(vip, listed)
        if not members:
            continue
        address, protocol = str(ipaddress.ip_address(vip.address)), PROTOCOLS[vip.protocol]
        for port in (vip.port, FRAGMENTS):
            service = Service(address, port, protocol, members, vip.idle_ns, vip.sticky, vip.port)
            found.setdefault((address, port, protocol), service)
    return tuple(found.values())


def spared(wanted: Sequence[Service], avoided: Avoided, living: Collection[int]) -> Avoided:
    """Of what is to be avoided, as much as leaves each service somebody who lives, and the kernel rings enough."""
    if not avoided:
        return {}
    found: dict[tuple[str, int], frozenset[int]] = {}
    sets = {each.members for each in wanted}
    for each in wanted:
        numbers = avoided.get((each.address, each.counts_for), frozenset())
        if not numbers or each.protocol != PROTOCOLS["TCP"]:
            continue
        members = _without(each, numbers)
        afforded = members in sets or len(sets) < SETS
        if afforded and any(member.number in living for member in members):
            sets.add(members)
            found[each.address, each.counts_for] = numbers
    return found


def sparing(wanted: Iterable[Service], kept_from: Avoided) -> tuple[Service, ...]:
    """Without the nodes that new clients of a service are kept from; flows that are there stay where they are."""
    return tuple(_fewer(each, kept_from) if each.protocol == PROTOCOLS["TCP"] else each for each in wanted)


def _fewer(service: Service, kept_from: Avoided) -> Service:
    numbers = kept_from.get((service.address, service.counts_for))
    return replace(service, members=_without(service, numbers)) if numbers else service


def _without(service: Service, numbers: Collection[int]) -> Members:
    return tuple(each for each in service.members if each.number not in numbers)


def members_of(vip: VipSpec, listed: Iterable[Seat]) -> Members:
    """In the order of their names, so that equal sets are equal values."""
    chosen = set(vip.backends)
    return tuple(
        Member(seat.spec.name, seat.number, seat.spec.capacity)
        for seat in sorted(listed, key=lambda seat: seat.spec.name)
        if not chosen or seat.spec.name in chosen
    )


def announced(wanted: Sequence[Service], standings: Iterable[Standing]) -> tuple[str, ...]:
    """Addresses behind which somebody lives; the others are withdrawn, so that routers may find a better way."""
    living = {each.seat.number for each in standings if each.present and each.state is not State.DEAD}
    return tuple(sorted({each.address for each in wanted if any(member.number in living for member in each.members)}))


def class_of(service: Service, rules: Sequence[Rule]) -> int:
    """The class of most of its packets: what rules say of its port and protocol, whoever the client is."""
    for rule in rules:
        unconditional = rule.dscp is None and not any(rule.source.mask)
        protocol = rule.protocol in (None, service.protocol)
        first, last = rule.destination_ports or (0, 65_535)
        if unconditional and protocol and first <= service.counts_for <= last:
            return rule.class_id
    return 0
