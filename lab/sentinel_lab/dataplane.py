"""The product's own data plane on one device of a lab node: XDP, rules, orders and the queue."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sentinel_bpf import attach, layout, pins
from sentinel_bpf import object as bpf_object
from sentinel_bpf.agent import SHARDED
from sentinel_bpf.buffer.htb import HtbBuffer
from sentinel_bpf.buffer.port import CLASSES, Direction, Interface, QueueClass
from sentinel_bpf.buffer.programs import PROGRAMS, QueuePrograms
from sentinel_bpf.probe import BPFFS
from sentinel_bpf.ruleset import RuleSet
from sentinel_core import orders
from sentinel_core.rules import PROTOCOLS, Rule

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

OBJECT = Path(__file__).parents[2] / "bpf" / "build" / "agent.bpf.o"
LEASE_NS = 500_000_000


@dataclass(frozen=True, slots=True)
class DataPlane:
    """Alive inside `attached`, in the namespace of the thread that made it."""

    agent: bpf_object.Object
    buffer: HtbBuffer
    programs: QueuePrograms
    pin: Path

    def renew(self, limits: Mapping[int, int], rate_bytes_per_s: int, lease_ns: int = LEASE_NS) -> None:
        """Orders for these classes: through the queue, no policing in front of it, until the lease ends."""
        bits = layout.constants(self.agent.path, "sn_order_flag")
        until = time.monotonic_ns() + lease_ns
        table = self.agent.map("sn_order")
        for each, limit in limits.items():
            order = orders.Order(limit, rate_bytes_per_s, target_us=20_000, police=False, mark=False)
            table.put(each, orders.words(order, until, 0, bits))

    def arrived(self) -> list[tuple[int, int, int]]:
        """Packets and bytes that XDP counted, and packets that met no live order, by class."""
        cells = self.agent.map("sn_cells").view().reshape(-1, CLASSES)
        counts = (cells[name].sum(axis=0).tolist() for name in ("packets", "bytes", "lease_over"))
        return list(zip(*counts, strict=True))


@contextmanager
def attached(
    device: str, rate_bytes_per_s: int, ports: Mapping[int, int], tcp_ports: Mapping[int, int] | None = None
) -> Iterator[DataPlane]:
    """XDP on `device` and its ingress queue; `ports` tells the class of a UDP destination port."""
    rules = [_to_port(port, class_id, "UDP") for port, class_id in ports.items()]
    rules += [_to_port(port, class_id, "TCP") for port, class_id in (tcp_ports or {}).items()]
    pins.mount()
    remove_pins_of_the_dead()
    where = pins.folder(BPFFS, f"lab-{os.getpid()}", bpf_object.ABI_VERSION)
    options = bpf_object.Options(sharded=SHARDED, programs=PROGRAMS | {"sn_ingress"})
    with bpf_object.load(OBJECT, options) as agent:
        RuleSet(agent).replace(rules)
        programs = QueuePrograms(agent)
        buffer = HtbBuffer(Interface(device, Direction.INGRESS, rate_bytes_per_s), programs)
        pin = pins.link_path(where, "xdp", device)
        attach.attach(agent.program("sn_ingress"), device, attach.Hook.XDP, pin)
        try:
            yield DataPlane(agent, buffer, programs, pin)
        finally:
            buffer.detach()
            attach.detach(pin)
            programs.close()
            where.parent.rmdir()


def remove_pins_of_the_dead() -> None:
    """Of controllers in this process's like, and of agents and balancers that they started."""
    for folder in [*BPFFS.glob("lab-*"), *BPFFS.glob("sentinel_lab-*")]:
        owner = folder.name.removeprefix("sentinel_").split("-")[1]
        if not Path("/proc", owner).exists():
            with suppress(FileNotFoundError):  # another lab, started at the same moment, clears up too
                remove_pins(folder)


def remove_pins(folder: Path) -> None:
    """And the folder; what they held on to goes where nothing else holds it."""
    for pin in list(folder.rglob("*")):  # the last one of a folder takes that with it
        if not pin.is_dir():
            pins.drop(pin)
    for each in sorted([folder, *folder.rglob("*")], reverse=True):
        if each.exists():  # the last pin takes its own folder with it
            each.rmdir()


def queue_classes(limits: Mapping[int, int], shares: Mapping[int, float], rate_bytes_per_s: int) -> list[QueueClass]:
    return [
        QueueClass(each, int(shares[each] * rate_bytes_per_s), rate_bytes_per_s, limit)
        for each, limit in limits.items()
    ]


def _to_port(port: int, class_id: int, protocol: str) -> Rule:
    return Rule(class_id, destination_ports=(port, port), protocol=PROTOCOLS[protocol])
