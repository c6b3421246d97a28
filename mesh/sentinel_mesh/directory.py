"""Peers given by a name that stands for many addresses, as a headless Service's does: all of them, not the first.

The engine would connect to one of them, perhaps to itself. Whoever resolves the name sees the same list, itself among
them, so that of each pair one end dials.
"""

from __future__ import annotations

import ipaddress
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Lookup = Callable[[str], Iterable[str]]


def addresses_of(host: str) -> tuple[str, ...]:
    """None while the name is not known: a Service has no address before its first pod has one."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return ()
    return tuple(sorted({str(each[4][0]) for each in found}))


def named(peers: Iterable[str]) -> bool:
    """Whether any of these may stand for more than one address."""
    return any(_host(each) is not None for each in peers)


def resolved(peers: Iterable[str], lookup: Lookup = addresses_of) -> tuple[str, ...]:
    """Every address of every peer, once each, in the order in which they came."""
    found: dict[str, None] = {}
    for endpoint in peers:
        host = _host(endpoint)
        if host is None:
            found[endpoint] = None
            continue
        before, port = endpoint[: endpoint.index("/") + 1], endpoint.rpartition(":")[2]
        for address in lookup(host):
            found[f"{before}{_bracketed(address)}:{port}"] = None
    return tuple(found)


def _host(endpoint: str) -> str | None:
    """The name in it; None where an address stands."""
    host = endpoint.partition("/")[2].rpartition(":")[0]
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return host
    return None


def _bracketed(address: str) -> str:
    return f"[{address}]" if ":" in address else address
