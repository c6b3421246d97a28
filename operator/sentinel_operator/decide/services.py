"""Which Service has which address: Services of our class and the pool in, addresses and conditions out.

An address that a Service has stays its own for as long as it may have it; free ones go to the oldest first. Nothing is
remembered between two looks but what stands in the Services themselves, so deleting one gives its address back.
"""

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from sentinel_api.names import GROUP

CONDITION: Final = f"{GROUP}/AddressAssigned"
ADDRESS_ANNOTATION: Final = f"{GROUP}/address"
"""Asks for one address (or one of each family, with a comma); two Services that name the same one share it."""

CLUSTER_ANNOTATION: Final = f"{GROUP}/cluster"
"""NAMESPACE/NAME of the BufferCluster to serve it; needed where several have a pool."""

Family = Literal[4, 6]
Reason = Literal["Assigned", "PoolExhausted", "AddressRefused", "PortTaken", "ProtocolUnsupported"]


class ServiceKey(NamedTuple):
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """One Service of our class. `families` in order of preference; only the first is needed unless `strict`."""

    key: ServiceKey
    created: str
    ports: tuple[tuple[int, str], ...]
    families: tuple[Family, ...] = (4,)
    strict: bool = True
    asked_for: tuple[str, ...] = ()
    held: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What stands in the Service afterwards; without addresses `message` says what to do."""

    addresses: tuple[str, ...]
    reason: Reason
    message: str

    @property
    def assigned(self) -> bool:
        return self.reason == "Assigned"


class _Refused(Exception):
    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.answer = Answer((), reason, message)


def assigned(pool: Sequence[str], services: Iterable[Wanted]) -> dict[ServiceKey, Answer]:
    """Those that hold an address are looked at first, then the oldest; the same for the same input."""
    book = _Book(pool)
    order = sorted(services, key=lambda each: (not each.held, each.created, each.key))
    return {each.key: _answer(book, each) for each in order}


def _answer(book: "_Book", service: Wanted) -> Answer:
    try:
        unknown = sorted({protocol for _, protocol in service.ports} - {"TCP", "UDP"})
        if unknown:
            raise _Refused("ProtocolUnsupported", f"{unknown[0]} is not balanced: use TCP or UDP ports")
        addresses = tuple(_of_family(book, service))
    except _Refused as refused:
        return refused.answer
    book.take(addresses, service.ports)
    return Answer(addresses, "Assigned", f"reachable at {', '.join(addresses)}")


def _of_family(book: "_Book", service: Wanted) -> Iterator[str]:
    for index, family in enumerate(service.families):
        try:
            yield _chosen(book, service, family)
        except _Refused:
            if index == 0 or service.strict:
                raise


def _chosen(book: "_Book", service: Wanted, family: Family) -> str:
    asked = next((each for each in service.asked_for if ipaddress.ip_address(each).version == family), None)
    if asked is not None:
        return book.checked(asked, service.ports)
    for held in service.held:
        if ipaddress.ip_address(held).version == family and book.is_ours(held) and not book.taken(held, service.ports):
            return held
    return book.free(family)


class _Book:
    """Who has which port of which address of the pool."""

    def __init__(self, pool: Sequence[str]) -> None:
        self._pool = [ipaddress.ip_network(each, strict=False) for each in pool]
        self._ports: dict[str, set[tuple[int, str]]] = {}

    def take(self, addresses: Iterable[str], ports: Iterable[tuple[int, str]]) -> None:
        for address in addresses:
            self._ports.setdefault(address, set()).update(ports)

    def is_ours(self, address: str) -> bool:
        found = ipaddress.ip_address(address)
        return any(found in each for each in self._pool if each.version == found.version)

    def taken(self, address: str, ports: Iterable[tuple[int, str]]) -> set[tuple[int, str]]:
        return self._ports.get(address, set()) & set(ports)

    def checked(self, asked: str, ports: Sequence[tuple[int, str]]) -> str:
        """An address that was asked for by name may be shared, on other ports."""
        address = str(ipaddress.ip_address(asked))
        if not self.is_ours(address):
            raise _Refused(
                "AddressRefused", f"{address} is not in spec.loadBalancer.addressPool: add it, or ask for another"
            )
        for port, protocol in sorted(self.taken(address, ports)):
            raise _Refused("PortTaken", f"port {port}/{protocol} of {address} belongs to another Service: use another")
        return address

    def free(self, family: Family) -> str:
        for network in self._pool:
            if network.version != family:
                continue
            for number in range(
                network.num_addresses if network.num_addresses <= len(self._ports) else len(self._ports) + 1
            ):
                address = str(network[number])
                if address not in self._ports:
                    return address
        known = any(each.version == family for each in self._pool)
        why = f"all IPv{family} addresses of the pool are in use" if known else f"the pool has no IPv{family} range"
        raise _Refused("PoolExhausted", f"{why}: add a range to spec.loadBalancer.addressPool")


@dataclass(frozen=True, slots=True)
class Claim:
    """Which BufferCluster serves a Service, or why none does."""

    cluster: str = ""
    message: str = ""


def claimed_by(
    annotations: Mapping[str, str], clusters_with_pool: Mapping[str, Sequence[str]], held: Iterable[str] = ()
) -> Claim:
    """`clusters_with_pool`: NAMESPACE/NAME → pool. One that names none is served by the only one there is, and where
    several are by the one whose address it has: another cluster takes nothing away."""
    named = annotations.get(CLUSTER_ANNOTATION, "")
    if named:
        if named in clusters_with_pool:
            return Claim(named)
        return Claim(
            message=f"there is no BufferCluster {named} with a pool: correct the annotation {CLUSTER_ANNOTATION}"
        )
    if len(clusters_with_pool) == 1:
        return Claim(next(iter(clusters_with_pool)))
    givers = [name for name, pool in clusters_with_pool.items() if any(_Book(pool).is_ours(each) for each in held)]
    if len(givers) == 1:
        return Claim(givers[0])
    if not clusters_with_pool:
        return Claim(message="no BufferCluster has spec.loadBalancer.addressPool: give one a range")
    return Claim(message=f"several BufferClusters have a pool: name one in the annotation {CLUSTER_ANNOTATION}")
