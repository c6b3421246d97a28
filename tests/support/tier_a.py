"""A node whose queue is tier A, in namespaces; works where the kernel has queueing disciplines in BPF."""

from __future__ import annotations

import json
import socket
import struct
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from sentinel_bpf import layout, pins
from sentinel_bpf import object as bpf_object
from sentinel_bpf.agent import SHARDED
from sentinel_bpf.buffer import discipline
from sentinel_bpf.buffer.port import CLASSES, Direction, Interface
from sentinel_bpf.buffer.qdisc import POOL_BYTES, Home, QdiscBuffer
from sentinel_lab.dataplane import OBJECT
from sentinel_lab.topology import NODE, RECEIVER, RECEIVER_ADDRESS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.netns import Bottleneck

QDISC_OBJECT = OBJECT.with_name("qdisc.bpf.o")
HOUR_NS = 3600 * 10**9
EXIT_DEVICE = "back"  # of the node, towards the receiver
PORTS = {each: 9100 + each for each in range(CLASSES)}
PROGRAMS = frozenset({"sn_classify"})
UDP_SEGMENT = 103  # linux/udp.h


def home() -> Home:
    return Home(QDISC_OBJECT, discipline.folder())


@contextmanager
def agent_object(programs: frozenset[str] = PROGRAMS) -> Iterator[bpf_object.Object]:
    pins.mount()
    options = bpf_object.Options(sharded=SHARDED, programs=programs, max_entries={"sn_flows": 1024})
    with bpf_object.load(OBJECT, options) as loaded:
        yield loaded


def give_lease(agent: bpf_object.Object, lease_ns: int, **order: int) -> None:
    """An order for every class that ends so long from now."""
    for each in range(CLASSES):
        agent.map("sn_order").put(each, valid_until_ns=time.monotonic_ns() + lease_ns, **order)


@dataclass(slots=True)
class Egress:
    """Traffic that starts in the node's own namespace and says its class itself; the queue is on the way out."""

    wires: Bottleneck
    agent: bpf_object.Object
    outgoing: dict[int, socket.socket] = field(default_factory=dict)

    def buffer(self, rate_bytes_per_s: int, pool_bytes: int = POOL_BYTES) -> QdiscBuffer:
        return QdiscBuffer(Interface(EXIT_DEVICE, Direction.EGRESS, rate_bytes_per_s), self.agent, home(), pool_bytes)

    def send(self, class_id: int, count: int, size: int = 1000) -> None:
        for _ in range(count):
            self.outgoing[class_id].sendto(bytes(size), (RECEIVER_ADDRESS, PORTS[class_id]))

    def send_aggregate(self, class_id: int, frames: int, size: int = 1000) -> None:
        """One packet to the queue, so many to whoever receives."""
        parts = [(socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("H", size))]
        self.outgoing[class_id].sendmsg([bytes(frames * size)], parts, 0, (RECEIVER_ADDRESS, PORTS[class_id]))

    def received(self, class_id: int) -> int:
        """Since the beginning."""
        return self.wires.received_in_all(PORTS[class_id])

    def received_in_all(self) -> int:
        return sum(map(self.received, range(CLASSES)))


def quiet(wires: Bottleneck) -> None:
    """Nothing goes out but what a test sends: no neighbour is asked for or answered, and nothing of IPv6."""
    Path(f"/proc/sys/net/ipv6/conf/{EXIT_DEVICE}/disable_ipv6").write_text("1")
    wires.spaces[NODE].ip("link", "set", EXIT_DEVICE, "arp", "off")
    (there,) = json.loads(wires.spaces[RECEIVER].ip("-json", "link", "show", "in"))
    wires.spaces[NODE].ip(
        "neigh", "replace", RECEIVER_ADDRESS, "lladdr", there["address"], "nud", "permanent", "dev", EXIT_DEVICE
    )


@contextmanager
def egress(agent: bpf_object.Object, wires: Bottleneck) -> Iterator[Egress]:
    quiet(wires)
    made = Egress(wires, agent)
    priorities = layout.constants(agent.path, "sn_queue_const")
    for class_id in range(CLASSES):
        sending = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sending.setsockopt(socket.SOL_SOCKET, 32, 64 << 20)  # SO_SNDBUFFORCE: what stands in the queue counts there
        priority = priorities["SN_QUEUE_MAJOR"] << 16 | (priorities["SN_QUEUE_MINOR"] + class_id)
        sending.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, priority)
        made.outgoing[class_id] = sending
    try:
        yield made
    finally:
        for each in made.outgoing.values():
            each.close()
