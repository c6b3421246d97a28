"""The shipped balancer beside the reference: everything is told to both, and both must do the same with a frame."""

import ipaddress
import time
from collections import Counter
from pathlib import Path
from typing import Any, Final

import numpy as np

from sentinel_bpf import layout, maps, ruleset, testrun
from sentinel_lb.act.tables import Address, Tables, load_balancer, mapped
from support.reference_balancer import Backend, ReferenceBalancer, Source, Verdict, Vip

OBJECT: Final = Path(__file__).parents[2] / "bpf" / "build" / "lb.bpf.o"
NEVER: Final = -1e8
MET_SHIFT: Final = 27  # of the time when an UDP flow was first met
CLASSES: Final = 16


class Balancer:
    """One load; `forget` makes it as good as new."""

    def __init__(self, **switches: int) -> None:
        self.object = load_balancer(OBJECT, rodata=switches, max_entries={"sn_lb_conns": 8192})
        self.program = self.object.program("sn_balance")
        self.rules = ruleset.RuleSet(self.object)
        self.tables = Tables(self.object)
        self.names = {
            number: name.removeprefix("SN_LB_").removeprefix("SN_REASON_")
            for enum in ("sn_lb_reason", "sn_reason")
            for name, number in layout.constants(OBJECT, enum).items()
            if name not in ("SN_REASONS", "SN_LB_REASON_END")
        }
        arrays = ("openings", "doubt", "states", "backends", "by_vip", "by_node", "reasons", "source", "rings", "own")
        self.views = {name: self.object.map(f"sn_lb_{name}").view(writable=True) for name in arrays}
        self.views |= {name: self.object.map(f"sn_{name}").view(writable=True) for name in ("ready", "seen", "prober")}

    def forget(self) -> None:
        for name, view in self.views.items():
            if name not in ("rings", "own"):  # without a VIP nobody reads rings; changes are never taken back
                view[...] = np.zeros((), view.dtype)
        for key in list(self.object.map("sn_lb_vips").keys()):
            self.object.map("sn_lb_vips").delete(key)
        self.tables.put_mac(bytes(6))
        self.views["own"]["changes"][0] += 1
        self.forget_flows()
        self.object.map("sn_lb_opened").put(0, window_ns=0)
        self.rules.replace([])

    def forget_flows(self) -> None:
        self.views["openings"][...] = np.zeros((), self.views["openings"].dtype)
        for key in list(self.object.map("sn_lb_conns").keys()):
            self.object.map("sn_lb_conns").delete(key)

    def remembered(self) -> int:
        """Flows, those that only began among them."""
        begun = int((self.views["openings"]["key"]["protocol"] != 0).sum())
        return begun + int(self.object.map("sn_lb_conns").dump()[0].size)

    def reasons(self) -> Counter[str]:
        totals = self.views["reasons"]["packets"].reshape(maps.cpus(), -1).sum(axis=0)
        return Counter({self.names[i]: int(n) for i, n in enumerate(totals) if n})

    def cell(self, which: str, index: int) -> dict[str, int]:
        """Counters of a VIP (`by_vip`) or of a backend (`by_node`), over all CPUs."""
        rows = self.views[which].reshape(maps.cpus(), -1)[:, index]
        return {name: int(rows[name].sum()) for name in rows.dtype.names}


class Twin:
    """What is set here is set in the kernel and in the reference. Seconds are the reference's."""

    def __init__(self, balancer: Balancer, reference: ReferenceBalancer) -> None:
        self.kernel, self.reference = balancer, reference
        self._indexes: dict[tuple[str, int, int], int] = {}
        self._rings: dict[int, Any] = {}
        self.use(Source())

    def use(self, source: Source) -> None:
        self.reference.source = source
        record = self.kernel.views["source"]
        record["address4"][0] = int(ipaddress.ip_address(source.address4))
        record["vary4"][0], record["vary6"][0] = source.vary4, source.vary6
        record["address6"][0] = mapped(source.address6)

    def own(self, mac: bytes) -> None:
        self.reference.mac = mac
        self.kernel.tables.put_mac(mac)

    def backend(self, number: int, backend: Backend) -> None:
        self.reference.backends[number] = backend
        self.kernel.tables.put_backend(number, backend.address, mac=backend.mac, mtu=backend.mtu, encap=backend.encap)

    def vip(self, address: str, port: int, protocol: int, vip: Vip) -> None:
        """A ring of its own unless another VIP has the same pairs; it is swapped in if the VIP was there before."""
        key = (address, port, protocol)
        self.reference.vips[key] = vip
        index = self._indexes.setdefault(key, len(self._indexes))
        sharing = next((known for known, other in self._rings.items() if other is vip.pairs), None)
        ring = self.kernel.tables.put_ring(vip.pairs) if sharing is None else sharing
        self._rings[ring] = vip.pairs
        self.kernel.tables.put_vip(
            Address(*key), ring=ring, index=index, idle_ns=int(vip.idle * 1e9), sticky=vip.sticky
        )

    def index_of(self, key: tuple[str, int, int]) -> int:
        """Of a VIP's counters."""
        return self._indexes[key]

    def withdraw(self, address: str, port: int, protocol: int) -> None:
        self.reference.vips.pop((address, port, protocol), None)
        self.kernel.tables.delete_vip(Address(address, port, protocol))

    def pass_time(self, seconds: float) -> None:
        """Instead of the kernel's clock going on, what it has noted gets older."""
        self.reference.now += seconds
        connections = self.kernel.object.map("sn_lb_conns")
        for key, conn in zip(*connections.dump(), strict=True):
            older = conn.copy()
            older["last_ns"] = max(1, int(conn["last_ns"]) - int(seconds * 1e9))
            older["met"] = (int(conn["met"]) - (int(seconds * 1e9) >> MET_SHIFT)) % (1 << 16)
            connections.put(key, older)
        begun = self.kernel.views["openings"]["conn"]
        older_ns = begun["last_ns"].astype(np.int64) - int(seconds * 1e9)
        begun["last_ns"] = np.where(begun["last_ns"] > 0, np.maximum(1, older_ns), 0)

    def tell(self) -> None:
        """All that the control plane knows, by the age it has now."""
        states, seen, ready = (self.kernel.views[name] for name in ("states", "seen", "ready"))
        for number, backend in self.reference.backends.items():
            flags = backend.present + 2 * backend.draining + 4 * backend.suspected
            values = (self._stamp(backend.mesh), flags, backend.load, backend.generation)
            for name, value in zip(("mesh_ns", "flags", "load", "generation"), values, strict=True):
                states[name][number] = value
            seen["last_seen_ns"][number] = self._stamp(backend.seen)
            for class_id, (room, when) in backend.rooms.items():
                ready["headroom_bytes"][number * CLASSES + class_id] = room
                ready["seen_ns"][number * CLASSES + class_id] = self._stamp(when)
        since, until = self.reference.doubt
        self.kernel.views["doubt"]["from_ns"][0] = self._stamp(since) if until > self.reference.now else 0
        self.kernel.views["doubt"]["until_ns"][0] = self._stamp(until) if until > self.reference.now else 0
        prober = self.kernel.views["prober"]
        prober["beat_ns"][0] = self._stamp(self.reference.beat)
        prober["period_ns"][0] = int(self.reference.period * 1e9)

    def send(self, frame: bytes) -> Verdict:
        """Fails where the two differ in verdict, reason, counters or any byte."""
        self.tell()
        before = self.kernel.reasons()
        wanted = self.reference.verdict(frame)
        ran = testrun.run(self.kernel.program, frame)
        (reason,) = (self.kernel.reasons() - before).elements()
        assert (ran.action, reason) == (wanted.action, wanted.reason)
        if wanted.action != 1:  # nobody sees the bytes of what is dropped
            assert ran.data.hex() == wanted.frame.hex()
        return wanted

    def _stamp(self, when: float) -> int:
        if when < NEVER:
            return 0
        return max(1, time.monotonic_ns() - int((self.reference.now - when) * 1e9))


def pairs_of(*numbers: int) -> Any:
    """A ring of 65537 slots whose pairs follow each other: (a, b), (b, c), (c, a) …"""
    several = np.array(numbers, np.uint16)
    first = np.resize(several, 65_537)
    return np.stack([first, np.resize(np.roll(several, -1), 65_537)], axis=1)
