"""From traffic classes to the ordered rules that agent and balancer load: one meaning on both sides."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from sentinel_api.errors import Invalid

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sentinel_api.v1alpha1.trafficclass import Match, TrafficClass

Way = Literal["Ingress", "Egress"]

PROTOCOLS: Final = {"TCP": 6, "UDP": 17}
ANYWHERE: Final = bytes(16)
MAPPED_BITS: Final = 96  # an IPv4 address lies behind ::ffff:0:0/96
MAX_RULES: Final = 1024


@dataclass(frozen=True, slots=True)
class Range:
    """Addresses as IPv6 with a mask; IPv4 is mapped. Without a mask every address is meant."""

    address: bytes = ANYWHERE
    mask: bytes = ANYWHERE


@dataclass(frozen=True, slots=True)
class Rule:
    """All that is given here must be true of a packet; None is not looked at. Ports are inclusive ranges."""

    class_id: int
    source: Range = Range()
    destination: Range = Range()
    source_ports: tuple[int, int] | None = None
    destination_ports: tuple[int, int] | None = None
    protocol: int | None = None
    dscp: int | None = None


def compiled(classes: Iterable[TrafficClass], ids: Mapping[str, int], way: Way) -> tuple[Rule, ...]:
    """In the order of the spec: the first that is true of a packet names its class."""
    rules = tuple(_rule(match, ids[each.name], way) for each in classes for match in each.match)
    if len(rules) > MAX_RULES:
        raise Invalid(f"{len(rules)} match rules are too many for the kernel's table: leave at most {MAX_RULES}")
    return rules


def address_range(cidr: str) -> Range:
    """Host bits beyond the prefix are ignored, as the API server accepts them."""
    network = ipaddress.ip_network(cidr, strict=False)
    bits = network.prefixlen + (MAPPED_BITS if network.version == 4 else 0)
    mask = ((1 << 128) - (1 << (128 - bits))).to_bytes(16, "big")
    packed = network.network_address.packed
    mapped = bytes(10) + b"\xff\xff" + packed if network.version == 4 else packed
    return Range(mapped, mask)


def _rule(match: Match, class_id: int, way: Way) -> Rule:
    """`port` is the service's and `cidr` the clients': which end of the packet that is depends on the way it goes."""
    clients = address_range(match.cidr) if match.cidr else Range()
    ports = None if match.port is None else (match.port, match.end_port or match.port)
    ingress = way == "Ingress"
    return Rule(
        class_id=class_id,
        source=clients if ingress else Range(),
        destination=Range() if ingress else clients,
        source_ports=None if ingress else ports,
        destination_ports=ports if ingress else None,
        protocol=PROTOCOLS.get(match.protocol),
        dscp=match.dscp,
    )
