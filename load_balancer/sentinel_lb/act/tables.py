"""The balancer's tables in the kernel: VIPs, rings, backends. A packet never sees half of a ring or of a VIP."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sentinel_api.errors import Invalid
from sentinel_bpf import layout
from sentinel_bpf.object import Object, Options, load
from sentinel_lb.decide.seats import Found

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from sentinel_lb.decide.states import Standing

# Indexed by cpu x (cells of one CPU): the counters that are read without a system call.
SHARDED: Final = frozenset({"sn_lb_by_node", "sn_lb_by_vip", "sn_lb_near", "sn_lb_reasons"})


@dataclass(frozen=True, slots=True)
class Address:
    """What clients talk to. Port 0 stands for the fragments of the address, which have no port."""

    address: str
    port: int
    protocol: int


@dataclass(frozen=True, slots=True)
class Served:
    """A VIP's entry."""

    ring: int
    index: int
    idle_ns: int = 0
    sticky: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """Network byte order is the kernel's affair: addresses as people write them, `vary` as masks of their low bits."""

    address4: ipaddress.IPv4Address
    address6: ipaddress.IPv6Address
    vary4: int = 0
    vary6: int = 0


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


def readable(address: NDArray[np.uint8]) -> str:
    """The other way round."""
    found = ipaddress.IPv6Address(address.tobytes())
    return str(found.ipv4_mapped or found)


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
        self._states = loaded.map("sn_lb_states").view(writable=True)
        self._room = loaded.map("sn_ready").view(writable=True).reshape(len(self._states), -1)
        self._source = loaded.map("sn_lb_source").view(writable=True)
        self._own = loaded.map("sn_lb_own").view(writable=True)
        self._strays = loaded.map("sn_lb_doubt").view(writable=True)
        self._flags = layout.constants(loaded.path, "sn_backend_flag")
        self._own["changes"][0] += 1  # who was here before may have changed VIPs and not have come to say so

    def put_ring(self, pairs: NDArray[np.uint16], keep: Collection[int] = ()) -> int:
        """Fill a ring that no VIP uses, nor is in `keep`, and say which; nothing changes until a VIP is told to use
        it."""
        used = {int(vip["ring"]) for vip in self._vips.dump()[1]} | set(keep)
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
        self._own["changes"][0] += 1

    def vips(self) -> dict[Address, Served]:
        """What is served now, whoever wrote it."""
        return {
            Address(readable(key["address"]), int(key["port"]), int(key["protocol"])): Served(
                int(vip["ring"]), int(vip["index"]), int(vip["idle_ns"]), bool(vip["flags"] & self._sticky)
            )
            for key, vip in zip(*self._vips.dump(), strict=True)
        }

    def ring(self, number: int) -> NDArray[np.uint16]:
        """Its pairs, as they are now."""
        place = self._rings[number * self._slots : (number + 1) * self._slots]
        return np.ascontiguousarray(place).view(np.uint16).reshape(-1, 2)

    def delete_vip(self, vip: Address) -> bool:
        """Whether there was such a VIP."""
        found = self._vips.delete(self._key(vip))
        self._own["changes"][0] += 1
        return found

    def put_backend(self, number: int, address: str, *, mac: bytes, mtu: int, encap: str = "IP") -> None:
        """Before the first ring names it; `encap` is IP, UDP or L2, `mtu` counts the outer header."""
        record = np.zeros((), self._backends.dtype)
        record["address"], record["mac"] = mapped(address), np.frombuffer(mac, np.uint8)
        record["mtu"], record["encap"] = mtu, self._encaps[f"SN_ENCAP_{encap}"]
        self._backends[number] = record

    def forget_backend(self, number: int) -> None:
        """Its generation stays, so that the number's next owner can get another."""
        self._states["flags"][number] = 0
        self._backends["encap"][number] = self._encaps["SN_ENCAP_NONE"]

    def found(self) -> dict[int, Found]:
        """What an earlier balancer left."""
        used = np.flatnonzero((self._backends["encap"] != 0) | (self._states["generation"] != 0))
        return {
            int(number): Found(
                readable(self._backends["address"][number]) if self._backends["encap"][number] else "",
                int(self._states["generation"][number]),
            )
            for number in used
        }

    def tell(self, standings: Sequence[Standing]) -> None:
        """What the packets of the next tenth of a second go by: states of all backends, and their room by class."""
        numbers = np.array([each.seat.number for each in standings], np.intp)
        if not numbers.size:
            return
        flags = self._flags
        self._states["generation"][numbers] = [each.seat.generation for each in standings]
        self._states["mesh_ns"][numbers] = [each.mesh_ns for each in standings]
        self._states["load"][numbers] = [each.load for each in standings]
        self._states["flags"][numbers] = [
            each.present * flags["SN_BACKEND_PRESENT"]
            | each.draining * flags["SN_BACKEND_DRAINING"]
            | each.suspected * flags["SN_BACKEND_SUSPECTED"]
            for each in standings
        ]
        self._room["headroom_bytes"][numbers] = [each.room for each in standings]
        self._room["seen_ns"][numbers] = np.array([each.room_ns for each in standings], np.uint64)[:, None]

    def put_strays(self, from_ns: int, until_ns: int) -> None:
        """UDP flows first met after `from_ns` may live at their other candidate, while it is not `until_ns`."""
        self._strays["from_ns"][0], self._strays["until_ns"][0] = from_ns, until_ns

    def doubt(self, numbers: Sequence[int]) -> None:
        """From now on unanswered probes suffice to take these for dead."""
        self._states["flags"][list(numbers)] |= self._flags["SN_BACKEND_SUSPECTED"]

    def put_mac(self, mac: bytes) -> None:
        """Frames to other hardware addresses are left alone from here on; zeroes: none is."""
        self._own["mac"][0] = np.frombuffer(mac.ljust(8, b"\0"), np.uint64)[0]

    def put_source(self, source: Source) -> None:
        """The outer source of tunnels; the bits of `vary` follow the flow."""
        self._source["address4"][0] = int.from_bytes(source.address4.packed, "big")
        self._source["address6"][0] = np.frombuffer(source.address6.packed, np.uint8)
        self._source["vary4"][0] = source.vary4
        self._source["vary6"][0] = source.vary6

    def _key(self, vip: Address) -> dict[str, Any]:
        return {"address": mapped(vip.address), "port": vip.port, "protocol": vip.protocol}
