"""VIPs and their rings into the kernel: a ring is built off the loop, written beside those in use, and then swapped."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import structlog

from sentinel_lb.act.tables import Address, Served
from sentinel_lb.decide.ring import pairs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    from sentinel_lb.act.tables import Tables
    from sentinel_lb.decide.services import Members, Service

log = structlog.get_logger()


class ServiceTable:
    """`sync` may be called with the same services for ever: what is as it should be is not written again."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._served = tables.vips()
        self._rings: dict[Members, int] = {}
        self._building: dict[Members, Future[Any]] = {}
        self._builder = ThreadPoolExecutor(1, "ring")

    def index_of(self, address: Address) -> int | None:
        """Of its counters; None for what is not served yet."""
        served = self._served.get(address)
        return served.index if served is not None else None

    def sync(self, wanted: Sequence[Service]) -> None:
        """Until its new ring is there, a VIP keeps the one that it has."""
        used = {service.members for service in wanted}
        self._take_built(used)
        for service in wanted:
            if service.members not in self._rings and service.members not in self._building:
                self._building[service.members] = self._builder.submit(pairs, service.members)
        for service in wanted:
            if service.members in self._rings:
                self._serve(service)
        addresses = {_address(service) for service in wanted}
        for gone in self._served.keys() - addresses:
            self._tables.delete_vip(gone)
            del self._served[gone]
            log.info("vip_removed", address=gone.address, port=gone.port)
        self._rings = {members: ring for members, ring in self._rings.items() if members in used}

    def close(self) -> None:
        self._builder.shutdown(wait=False, cancel_futures=True)

    def _take_built(self, used: set[Members]) -> None:
        """What nobody wants any more is not waited for."""
        for members, future in list(self._building.items()):
            if members not in used:
                future.cancel()
                del self._building[members]
            elif future.done():
                del self._building[members]
                self._rings[members] = self._placed(future.result())

    def _placed(self, built: Any) -> int:
        """A successor finds the ring of its predecessor in place, and leaves it there."""
        for ring in {served.ring for served in self._served.values()}:
            if (self._tables.ring(ring) == built).all():
                return ring
        ring = self._tables.put_ring(built, keep=self._rings.values())
        log.info("ring_built", ring=ring)
        return ring

    def _serve(self, service: Service) -> None:
        address = _address(service)
        index = self._index(Address(service.address, service.counts_for, service.protocol))
        entry = Served(self._rings[service.members], index, service.idle_ns, service.sticky)
        if self._served.get(address) == entry:
            return
        self._tables.put_vip(address, ring=entry.ring, index=entry.index, idle_ns=entry.idle_ns, sticky=entry.sticky)
        if address not in self._served and address.port:
            log.info("vip_added", address=address.address, port=address.port)
        self._served[address] = entry

    def _index(self, address: Address) -> int:
        """Its own for as long as it is served; counters of one that was given back begin where they stood."""
        if address in self._served:
            return self._served[address].index
        used = {served.index for served in self._served.values()}
        return next(index for index in range(len(used) + 1) if index not in used)


def _address(service: Service) -> Address:
    return Address(service.address, service.port, service.protocol)
