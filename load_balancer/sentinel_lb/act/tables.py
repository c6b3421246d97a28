"""The balancer's tables in the kernel: VIPs, rings, backends. A packet never sees half of a ring or of a VIP."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sentinel_api.errors import Invalid
from sentinel_bpf import layout
from sentinel_bpf.object import Object, Options, load

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

# Indexed by cpu x (cells of one CPU): the counters that are read without a system call.
SHARDED: Final = frozenset({"sn_lb_by_node", "sn_lb_by_vip", "sn_lb_reasons"})


@dataclass(frozen=True, slots=True)
class Address:
    """What clients talk to. Port 0 stands for the fragments of the address, which have no port."""

    address: str
    port: int
    protocol: int


def load_balancer(
    path: Path,
    *,
    rodata: Mapping[str, Any] | None = None,
    max_entries: Mapping[str, int] | None = None,
    pins: Path | None = None,
) -> Object:
    """lb.bpf.o with its counters sized for this machine's CPUs; tables pinned by an earlier balancer are taken over."""
    chosen = Options(rodata=rodata or {}, max_entries=max_entries or {}, sharded=SHARDED, pins=pins, replace_pins=True)
    return load(path, chosen)


def mapped(address: str) -> NDArray[np.uint8]:
    """As the kernel keeps every address: 16 bytes, IPv4 behind ::ffff:0:0/96."""
    packed = ipaddress.ip_address(address).packed
    return np.frombuffer(packed if len(packed) == 16 else bytes(10) + b"\xff\xff" + packed, np.uint8)


class Tables:
    """Of a loaded balancer. One writer at a time."""

    def __init__(self, loaded: Object) -> None:
        constants = layout.constants(loaded.path, "sn_lb_const")
        self._slots = constants["SN_LB_SLOTS"]
        self._sticky = layout.constants(loaded.path, "sn_vip_flag")["SN_VIP_STICKY"]
        self._encaps = layout.constants(loaded.path, "sn_encap")
        self._vips = loaded.map("sn_lb_vips")
        self._rings = loaded.map("sn_lb_rings").view(writable=True)
        self._backends = loaded.map("sn_lb_backends").view(writable=True)

    def put_ring(self, pairs: NDArray[np.uint16]) -> int:
        """Fill a ring that no VIP uses, and say which; nothing changes until a VIP is told to use it."""
        used = {int(vip["ring"]) for vip in self._vips.dump()[1]}
        count = len(self._rings) // self._slots
        free = next((ring for ring in range(count) if ring not in used), None)
        if free is None:
            raise Invalid(f"All {count} rings are in use; let VIPs with the same backends share one, or load more.")
        place = self._rings[free * self._slots : (free + 1) * self._slots].view(np.uint32)
        place[:] = np.ascontiguousarray(pairs, np.uint16).view(np.uint32)[:, 0]
        return free

    def put_vip(self, vip: Address, *, ring: int, index: int, idle_ns: int = 0, sticky: bool = False) -> None:
        """One store: packets see the old entry or the new one. `index` is that of its counters."""
        flags = self._sticky if sticky else 0
        self._vips.put(self._key(vip), idle_ns=idle_ns, ring=ring, index=index, flags=flags)

    def delete_vip(self, vip: Address) -> bool:
        """Whether there was such a VIP."""
        return self._vips.delete(self._key(vip))

    def put_backend(self, number: int, address: str, *, mac: bytes, mtu: int, encap: str = "IP") -> None:
        """Before the first ring names it; `encap` is IP, UDP or L2, `mtu` counts the outer header."""
        record = np.zeros((), self._backends.dtype)
        record["address"], record["mac"] = mapped(address), np.frombuffer(mac, np.uint8)
        record["mtu"], record["encap"] = mtu, self._encaps[f"SN_ENCAP_{encap}"]
        self._backends[number] = record

    def _key(self, vip: Address) -> dict[str, Any]:
        return {"address": mapped(vip.address), "port": vip.port, "protocol": vip.protocol}
