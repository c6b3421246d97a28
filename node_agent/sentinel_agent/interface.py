"""Which devices to buffer: those that the configuration names, or the one of the default route."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sentinel_api.errors import Invalid
from sentinel_bpf.attach import interface_index
from sentinel_bpf.buffer.port import Direction, Interface

if TYPE_CHECKING:
    from sentinel_api.v1alpha1 import dataplane
    from sentinel_api.v1alpha1.nodeconfig import NodeConfig

ROUTES: Final = Path("/proc/self/net/route")
ROUTES_V6: Final = Path("/proc/self/net/ipv6_route")
LOOPBACK: Final = "lo"


def chosen(config: NodeConfig) -> tuple[Interface, ...]:
    """In the order of the configuration. Raises Invalid where a device is not there, or named twice."""
    found = named(config)
    for each in found:
        interface_index(each.name)  # raises before anything is loaded or pinned for it
    return found


def named(config: NodeConfig) -> tuple[Interface, ...]:
    """The same, whether they are there or not."""
    wanted = [_named(each) for each in config.data_plane.interfaces]
    found = tuple(wanted) or (Interface(default_device(), Direction.INGRESS, 0),)
    names = [each.name for each in found]
    for name in names:
        if names.count(name) > 1:
            raise Invalid(f"{name} is listed in both directions, and a device can queue in one: leave one of them")
    return found


def there(name: str) -> int | None:
    """Its index, or None."""
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return None


def _named(wanted: dataplane.Interface) -> Interface:
    return Interface(
        name=wanted.name or default_device(),
        direction=Direction(wanted.direction),
        rate_bytes_per_s=(wanted.rate_bits_per_second or 0) // 8,
    )


def default_device() -> str:
    """Of the lowest metric; IPv4 first, since nodes without it are rare and nodes with both are not."""
    found = _v4() or _v6()
    if not found:
        raise Invalid("this node has no default route: name the device in dataPlane.interfaces")
    return min(found)[1]


def _v4() -> list[tuple[int, str]]:
    rows = [line.split() for line in ROUTES.read_text().splitlines()[1:]]
    return [(int(row[6]), row[0]) for row in rows if row[1] == row[7] == "00000000"]


def _v6() -> list[tuple[int, str]]:
    rows = [line.split() for line in ROUTES_V6.read_text().splitlines()] if ROUTES_V6.exists() else []
    return [(int(row[5], 16), row[9]) for row in rows if set(row[0] + row[1]) == {"0"} and row[9] != LOOPBACK]
