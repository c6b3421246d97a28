"""Which device to buffer: the one that the configuration names, or the one of the default route."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from sentinel_api.errors import Invalid
from sentinel_bpf.attach import interface_index
from sentinel_bpf.buffer.port import Direction, Interface

if TYPE_CHECKING:
    from sentinel_api.v1alpha1.nodeconfig import NodeConfig

ROUTES: Final = Path("/proc/self/net/route")
ROUTES_V6: Final = Path("/proc/self/net/ipv6_route")
LOOPBACK: Final = "lo"


def chosen(config: NodeConfig) -> Interface:
    """Raises Invalid where there is no such device, or more than one was asked for."""
    wanted = config.data_plane.interfaces
    if len(wanted) > 1:
        raise Invalid(f"{len(wanted)} interfaces are listed, and this version buffers one: leave one")
    name = wanted[0].name if wanted and wanted[0].name else default_device()
    interface_index(name)  # raises for one that is not there, before anything is loaded or pinned for it
    return Interface(
        name=name,
        direction=Direction(wanted[0].direction) if wanted else Direction.INGRESS,
        rate_bytes_per_s=(wanted[0].rate_bits_per_second or 0) // 8 if wanted else 0,
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
