"""The world of one tick, frozen: who was heard, who answers probes, what the kernel counted, which ways there are."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from sentinel_api.records import Role
from sentinel_bpf.maps import snapshot
from sentinel_mesh.membership import Level, Probe

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from sentinel_api.records import Digest
    from sentinel_lb.act.plane import Plane
    from sentinel_lb.act.prober import Prober
    from sentinel_lb.decide.seats import Seat
    from sentinel_lb.ways import Scout, Ways
    from sentinel_mesh.mesh import Mesh
    from sentinel_mesh.roster import Member

NOBODY: Mapping[Any, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """`probes`, `last_packet_ns` and `packets` are by the backend's number; `vip_bytes` by the VIP's index."""

    now_ns: int
    elapsed_ns: int
    members: Mapping[str, Member]
    balancers: tuple[str, ...]
    probes: Mapping[int, Probe]
    ways: Ways
    last_packet_ns: NDArray[np.int64]
    packets: NDArray[np.uint64]
    vip_bytes: NDArray[np.uint64]
    zones: Mapping[str, Digest] = field(default_factory=lambda: NOBODY)
    """The sums of each zone of the mesh, this one's too."""
    zone: str = ""
    zone_of: Mapping[str, str] = field(default_factory=lambda: NOBODY)
    """Of each node, where nobody hears those of other zones than `zone`."""
    round_trips_ns: Mapping[int, int] = field(default_factory=lambda: NOBODY)
    """Of the last probe, by the backend's number; where `zone_of` says something."""

    @property
    def hears(self) -> bool:
        """Somebody in the mesh; who hears nobody does not know whether he is alone."""
        return any(each.level is Level.ALIVE for each in self.members.values())


@dataclass(slots=True)
class Observer:
    plane: Plane
    prober: Prober
    scout: Scout
    mesh: Mesh[Any] | None
    _by_node: NDArray[Any] = field(init=False)
    _by_vip: NDArray[Any] = field(init=False)
    _packets: NDArray[np.uint64] = field(init=False)
    _last_ns: NDArray[np.int64] = field(init=False)
    _bytes: NDArray[np.uint64] = field(init=False)
    _looked_ns: int = field(init=False)

    def __post_init__(self) -> None:
        self._by_node, self._by_vip = self.plane.cells("sn_lb_by_node"), self.plane.cells("sn_lb_by_vip")
        self._packets, self._bytes = _summed(self._by_node, "packets"), _summed(self._by_vip, "bytes")
        self._looked_ns = time.monotonic_ns()
        self._last_ns = np.full(len(self._packets), self._looked_ns, np.int64)

    def look(self, seats: Iterable[Seat]) -> World:
        now_ns = time.monotonic_ns()
        listed = list(seats)
        probes = self._probed(listed, now_ns)
        members = self._heard(listed, probes)
        zone, zone_of = self.mesh.zones() if self.mesh is not None else ("", NOBODY)
        packets, sent = _summed(self._by_node, "packets"), _summed(self._by_vip, "bytes")
        self._last_ns = np.where(packets != self._packets, now_ns, self._last_ns)
        world = World(
            now_ns=now_ns,
            elapsed_ns=now_ns - self._looked_ns,
            members=members,
            balancers=tuple(name for name, each in members.items() if _is_balancer(each)),
            probes=probes,
            ways=self.scout.latest,
            last_packet_ns=self._last_ns,
            packets=packets,
            vip_bytes=sent - self._bytes,
            zones=self.mesh.digests() if self.mesh is not None else NOBODY,
            zone=zone,
            zone_of=zone_of,
            round_trips_ns=self._ways(listed) if zone_of else NOBODY,
        )
        self._packets, self._bytes, self._looked_ns = packets, sent, now_ns
        return world

    def silent(self, seats: Iterable[Seat]) -> list[int]:
        """Numbers of those whom the mesh does not hear at this instant; asked far more often than `look`."""
        names = self.mesh.silent() if self.mesh is not None else frozenset()
        return [seat.number for seat in seats if seat.spec.name in names] if names else []

    def _ways(self, seats: list[Seat]) -> dict[int, int]:
        took_ns = self.plane.seen["rtt_ns"]
        return {seat.number: int(took_ns[seat.number]) for seat in seats}

    def _probed(self, seats: list[Seat], now_ns: int) -> dict[int, Probe]:
        """By what the kernel noted; while the prober itself is held up nothing is known."""
        targets = {each.number for each in self.prober.aimed.targets} if self.prober.believed(now_ns) else set()
        seen = self.plane.seen["last_seen_ns"]
        patience_ns = self.prober.patience_ns
        return {
            seat.number: (Probe.GOOD if now_ns - int(seen[seat.number]) <= patience_ns else Probe.FAILING)
            if seat.number in targets
            else Probe.UNKNOWN
            for seat in seats
        }

    def _heard(self, seats: list[Seat], probes: Mapping[int, Probe]) -> Mapping[str, Member]:
        if self.mesh is None:
            return NOBODY
        return self.mesh.view({seat.spec.name: probes[seat.number] for seat in seats}).members


def _is_balancer(member: Member) -> bool:
    return member.level is Level.ALIVE and member.state is not None and member.state.role is Role.EDGE


def _summed(cells: NDArray[Any], column: str) -> NDArray[np.uint64]:
    total: NDArray[np.uint64] = snapshot(cells)[column].sum(axis=0)
    return total
