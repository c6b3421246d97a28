"""Nodes of other zones, which the mesh lets nobody here hear: the room that they have by their zone's sum.

For each class one zone takes new flows: the nearest as long as it has room (`sentinel_mesh.sites`). When that is
another one its nodes are told to the kernel with their part of the zone's room; the nodes of any other zone say nothing
there, and get the flows for which nobody else has room, as ever.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from statistics import median
from typing import TYPE_CHECKING

from sentinel_api.records import CLASSES
from sentinel_lb.decide.weights import State
from sentinel_mesh import sites
from sentinel_mesh.membership import Probe

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from sentinel_api.records import Digest
    from sentinel_lb.decide.states import Standing

    Choices = Mapping[int, sites.Choice]


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """`zone_of` is by node, `sums` by zone and fresh, `round_trips_ns` and `probes` by the backend's number."""

    zone_of: Mapping[str, str]
    sums: Mapping[str, Digest]
    round_trips_ns: Mapping[int, int]
    probes: Mapping[int, Probe]

    def zone(self, each: Standing) -> str:
        return self.zone_of.get(each.seat.spec.name, "")


def choices(known: Elsewhere, standings: Sequence[Standing], classes: Iterable[int], before: Choices) -> Choices:
    """For each class the zone that takes new flows; `before` is what this said last."""
    away_ms = _round_trips_ms(known, standings)
    found = {}
    for each in classes:
        offers = [_site(zone, away_ms[zone], known.sums[zone], each) for zone in known.sums if zone in away_ms]
        present = before[each].name if each in before else ""
        found[each] = sites.chosen(offers, present)
    return found


def roomy(
    known: Elsewhere, standings: Sequence[Standing], chosen: Choices, own: str, now_ns: int
) -> tuple[Standing, ...]:
    """With what is known of nodes elsewhere; those of this zone speak for themselves."""
    return tuple(
        each if known.zone(each) in ("", own) else _with_room(known, each, chosen, now_ns) for each in standings
    )


def _with_room(known: Elsewhere, each: Standing, chosen: Choices, now_ns: int) -> Standing:
    zone = known.zone(each)
    taking = [class_id for class_id, choice in chosen.items() if choice.name == zone]
    answers = known.probes.get(each.seat.number) is Probe.GOOD
    if not taking or not answers or each.state is not State.BUSY or each.room_ns:
        return each
    total = known.sums[zone]
    room = [0] * CLASSES
    for class_id in taking:
        room[class_id] = total.headroom_bytes[class_id] // total.fresh_nodes
    # The sum is told once a second and believed for three: the kernel, which believes for half of one, hears it anew.
    return replace(
        each,
        state=State.READY,
        reason=f"answers probes; {zone} takes new flows, {chosen[taking[0]].reason}",
        room=tuple(room),
        room_ns=now_ns,
    )


def _round_trips_ms(known: Elsewhere, standings: Sequence[Standing]) -> dict[str, float]:
    """Of zones with a node that answers: the middle one of their ways."""
    ways: dict[str, list[float]] = {}
    for each in standings:
        took_ns = known.round_trips_ns.get(each.seat.number, 0)
        if took_ns and known.zone(each) and known.probes.get(each.seat.number) is Probe.GOOD:
            ways.setdefault(known.zone(each), []).append(took_ns / 1e6)
    return {zone: median(each) for zone, each in ways.items()}


def _site(zone: str, away_ms: float, total: Digest, class_id: int) -> sites.Site:
    return sites.Site(
        name=zone,
        round_trip_ms=away_ms,
        headroom_bytes_per_s=float(total.headroom_bytes[class_id]),
        demand_bytes_per_s=float(total.demand_now),
        alive_nodes=total.fresh_nodes,
    )
