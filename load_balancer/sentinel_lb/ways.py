"""How backends are reached from the interface: next hop's hardware address, own source address, what fits the way.

Asked of the kernel in a thread of its own, since a thousand questions take their time; the tick takes the last answer.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import structlog
from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

from sentinel_api.errors import Invalid
from sentinel_bpf.attach import interface_index

if TYPE_CHECKING:
    from collections.abc import Mapping

PERIOD_S: Final = 1.0
BACKENDS_A_SECOND: Final = 100
"""Looked at no faster than this, however many there are."""

PERMANENT, REACHABLE_MASK, FAILED = 0x80, 0x02 | 0x04 | 0x08 | 0x10 | 0x80, 0x20

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Way:
    mac: bytes
    mtu: int


@dataclass(frozen=True, slots=True)
class Uplink:
    """The interface's own addresses, by family; empty where it has none."""

    mtu: int = 1500
    mac: bytes = bytes(6)
    address4: str = ""
    address6: str = ""

    def source(self, address: str) -> str:
        """Ours in the family of `address`."""
        return self.address4 if ipaddress.ip_address(address).version == 4 else self.address6


@dataclass(frozen=True, slots=True)
class Ways:
    """`refused` says why there is none to an address."""

    uplink: Uplink = Uplink()
    to: Mapping[str, Way] = field(default_factory=lambda: MappingProxyType({}))
    refused: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


class Scout:
    """`latest` may be read by any thread; `seek` says which addresses matter from now on."""

    def __init__(self, interface: str) -> None:
        self._interface = interface
        self._index = interface_index(interface)
        self._wanted: frozenset[str] = frozenset()
        self._stopped = threading.Event()
        self._hurry = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ways", daemon=True)
        self.latest = Ways()

    def seek(self, addresses: frozenset[str]) -> None:
        if addresses != self._wanted:
            self._wanted = addresses
            self._hurry.set()

    def start(self) -> None:
        with IPRoute() as netlink:
            self.latest = self._look(netlink)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._hurry.set()
        self._thread.join()

    def _run(self) -> None:
        with IPRoute() as netlink:
            while not self._stopped.is_set():
                self._hurry.clear()
                try:
                    self.latest = self._look(netlink)
                except (NetlinkError, OSError) as error:
                    log.warning("ways_unknown", error=str(error))
                missing = self._wanted - self.latest.to.keys()
                pause_s = PERIOD_S / 10 if missing else PERIOD_S
                self._hurry.wait(max(pause_s, len(self._wanted) / BACKENDS_A_SECOND))

    def _look(self, netlink: IPRoute) -> Ways:
        uplink = _uplink(netlink, self._index)
        neighbours = _neighbours(netlink, self._index)
        found: dict[str, Way] = {}
        refused: dict[str, str] = {}
        for address in self._wanted:
            hop, mtu, why = self._next_hop(netlink, address, uplink)
            if why or not uplink.source(address):
                refused[address] = why or f"{self._interface} has no address of its family"
            elif hop in neighbours:
                found[address] = Way(neighbours[hop], mtu)
            else:
                refused[address] = f"next hop {hop} does not answer"
                _ask(hop, self._interface)
        return Ways(uplink, MappingProxyType(found), MappingProxyType(refused))

    def _next_hop(self, netlink: IPRoute, address: str, uplink: Uplink) -> tuple[str, int, str]:
        """Its address, what fits, and why not."""
        try:
            (route,) = netlink.route("get", dst=address)
        except NetlinkError as error:
            return "", 0, f"no route ({error})"
        if route.get_attr("RTA_OIF") != self._index:
            return "", 0, f"its route does not leave by {self._interface}, and packets are sent back where they came in"
        metrics = route.get_attr("RTA_METRICS")
        mtu = (metrics.get_attr("RTAX_MTU") if metrics is not None else None) or uplink.mtu
        return str(route.get_attr("RTA_GATEWAY") or address), int(mtu), ""


def looked_at(interface: str) -> Uplink:
    """Once, without a thread."""
    with IPRoute() as netlink:
        return _uplink(netlink, interface_index(interface))


def default_interface() -> str:
    """Of the default route of the lowest metric."""
    with IPRoute() as netlink:
        for family in (socket.AF_INET, socket.AF_INET6):
            routes = [route for route in netlink.get_default_routes(family=family) if route.get_attr("RTA_OIF")]
            if routes:
                best = min(routes, key=lambda route: route.get_attr("RTA_PRIORITY") or 0)
                return socket.if_indextoname(best.get_attr("RTA_OIF"))
    raise Invalid("this machine has no default route: name the device in interface")


def _uplink(netlink: IPRoute, index: int) -> Uplink:
    (link,) = netlink.get_links(index)
    addresses: dict[int, str] = {}
    for each in netlink.get_addr(index=index):
        if each["scope"] == 0 and each["prefixlen"] not in (32, 128):  # those are services, announced here
            addresses.setdefault(each["family"], each.get_attr("IFA_LOCAL") or each.get_attr("IFA_ADDRESS"))
    return Uplink(
        mtu=int(link.get_attr("IFLA_MTU")),
        mac=_raw(link.get_attr("IFLA_ADDRESS")),
        address4=addresses.get(socket.AF_INET, ""),
        address6=addresses.get(socket.AF_INET6, ""),
    )


def _neighbours(netlink: IPRoute, index: int) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for family in (socket.AF_INET, socket.AF_INET6):
        for each in _dumped(netlink, family, index):
            mac = each.get_attr("NDA_LLADDR")
            if mac and each["state"] & REACHABLE_MASK:
                found[each.get_attr("NDA_DST")] = _raw(mac)
    return found


def _dumped(netlink: IPRoute, family: int, index: int) -> list[Any]:
    return list(netlink.get_neighbours(family=family, ifindex=index))


def _ask(hop: str, interface: str) -> None:
    """A datagram to nobody makes the kernel look for its neighbour; a node's probes do so only once there is a way."""
    family = socket.AF_INET if ipaddress.ip_address(hop).version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as asking:
            asking.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
            asking.sendto(b"", (hop, 9))
    except OSError as error:
        log.debug("neighbour_not_asked", hop=hop, error=str(error))


def _raw(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))
