"""The devices between which packets are held: ours by name and address, and swept away once nobody works with them.

A lock that is the kernel's (a socket's name in this network namespace) says who works with them: it ends with its
process, however that ends.
"""

from __future__ import annotations

import errno
import re
import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from pyroute2 import IPRoute

from sentinel_api.errors import SentinelError, Transient, Unsupported
from sentinel_bpf.netlink import said

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sentinel_bpf.buffer.port import Toll

HOLDING, BACK = "sn-h", "sn-b"  # and behind that the number of the device that they serve
OURS: Final = {HOLDING: "02:53", BACK: "02:4e"}  # first half of a local address, whose rest is that number
ETHERNET: Final = 1


@contextmanager
def alone(device: int) -> Iterator[None]:
    """No other process exchanges the root of this device meanwhile."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as name:
        try:
            name.bind(f"\0sentinel exchange {device}")
        except OSError as taken:
            if taken.errno != errno.EADDRINUSE:
                raise
            raise Transient(f"another process exchanges the queue of device {device}; try again") from taken
        yield


@contextmanager
def devices(device: int, toll: Toll) -> Iterator[tuple[int, int]]:
    """The holding device and its peer, up and as wide as `device`. A leftover of ours makes room."""
    holding, back = HOLDING + str(device), BACK + str(device)
    with IPRoute() as route:
        _clear(route, device)
        link = route.get_links(device)[0]
        if link["ifi_type"] != ETHERNET:
            raise Unsupported("what leaves without a link header cannot be led through a veth")
        peer = {"ifname": back, "address": _address(BACK, device)}
        with said(f"creating {holding}"):
            route.link("add", ifname=holding, kind="veth", address=_address(HOLDING, device), peer=peer)
        try:
            found = tuple(int(route.link_lookup(ifname=name)[0]) for name in (holding, back))
            for each in found:
                with said(f"setting {holding} up"):
                    route.link("set", index=each, mtu=link.get_attr("IFLA_MTU"), state="up")
            yield found[0], found[1]
        finally:
            try:
                _clear(route, device)
            except SentinelError as refused:  # the exchange is over, and `sweep` comes later
                toll.add(0, str(refused))


def sweep() -> list[str]:
    """Remove what processes left that died in the middle of an exchange, in this network namespace; its names."""
    with IPRoute() as route:
        names = (str(each.get_attr("IFLA_IFNAME")) for each in route.get_links())
        served = [int(name.removeprefix(HOLDING)) for name in names if re.fullmatch(rf"{HOLDING}\d+", name)]
        return [f"{HOLDING}{each}" for each in served if _swept(route, each)]


def _swept(route: IPRoute, device: int) -> bool:
    try:
        with alone(device):
            return _clear(route, device)
    except (Transient, Unsupported):  # somebody works with it, or it is nobody's of us
        return False


def _clear(route: IPRoute, device: int) -> bool:
    """Whether there was one. Unsupported where another's device has the name."""
    name = HOLDING + str(device)
    index = next(iter(route.link_lookup(ifname=name)), None)
    if index is None:
        return False
    if not _ours(route, index, device):
        raise Unsupported(f"{name} is not ours; rename it, for our own has this name")
    with said(f"removing {name}"):
        route.link("del", index=index)
    return True


def _ours(route: IPRoute, index: int, device: int) -> bool:
    """A veth of the address that only we give, whose peer is the other end of such a pair."""
    end = route.get_links(index)[0]
    peers = [each for each in route.get_links() if each["index"] == end.get_attr("IFLA_LINK")]
    return _is(end, HOLDING, device) and len(peers) == 1 and _is(peers[0], BACK, device)


def _is(link: Any, prefix: str, device: int) -> bool:
    told = link.get_attr("IFLA_LINKINFO")
    kind = told.get_attr("IFLA_INFO_KIND") if told else ""
    found = (kind, link.get_attr("IFLA_IFNAME"), link.get_attr("IFLA_ADDRESS"))
    return bool(found == ("veth", f"{prefix}{device}", _address(prefix, device)))


def _address(prefix: str, device: int) -> str:
    return ":".join((OURS[prefix], *(f"{byte:02x}" for byte in device.to_bytes(4, "big"))))
