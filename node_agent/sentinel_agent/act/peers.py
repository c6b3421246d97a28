"""Who may end a tunnel here and ask whether we live: the balancers that the configuration names, and nobody else."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

import numpy as np

from sentinel_bpf import layout

if TYPE_CHECKING:
    from collections.abc import Iterable

    from sentinel_bpf.object import Object

MAPPED_BITS = 96  # an IPv4 prefix lies behind ::ffff:0:0/96


class Peers:
    """The kernel's table of prefixes, of a loaded agent."""

    def __init__(self, loaded: Object) -> None:
        self._table = loaded.map("sn_peers")
        rights = layout.constants(loaded.path, "sn_right")
        self._rights = rights["SN_MAY_TUNNEL"] | rights["SN_MAY_PROBE"]

    def replace(self, balancers: Iterable[str]) -> None:
        """Those that stay are not touched, so that none of their packets finds the table without them."""
        wanted = {_key(each) for each in balancers}
        known = {(int(key["length"]), bytes(key["address"])) for key in self._table.dump()[0]}
        for each in wanted - known:
            self._table.put(_record(each), rights=self._rights)
        for each in known - wanted:
            self._table.delete(_record(each))


def _key(cidr: str) -> tuple[int, bytes]:
    network = ipaddress.ip_network(cidr, strict=False)
    packed = network.network_address.packed
    if network.version == 4:
        return network.prefixlen + MAPPED_BITS, bytes(10) + b"\xff\xff" + packed
    return network.prefixlen, packed


def _record(key: tuple[int, bytes]) -> dict[str, Any]:
    return {"length": key[0], "address": np.frombuffer(key[1], np.uint8)}
