"""The queue on the way out: each answer waits in its flow's class, is marked when much waits, and obeys the last limit
when nobody steers any more."""

from __future__ import annotations

import os
import socket
import time
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import numpy as np
import pytest

from sentinel_agent.act.orders import OrderTable
from sentinel_agent.observe import Observer
from sentinel_agent.plane import Place, Plane, open_plane
from sentinel_api.errors import Transient
from sentinel_api.v1alpha1.nodeconfig import NodeConfig
from sentinel_bpf import layout, pins, probe
from sentinel_bpf.buffer.plumbing import Plumbing
from sentinel_bpf.buffer.port import CLASSES, Direction, Interface, QueueClass, Tier, sojourn_quantile_us
from sentinel_bpf.probe import BPFFS
from sentinel_core.orders import Order
from sentinel_core.sample import Valid
from sentinel_lab.dataplane import OBJECT
from sentinel_lab.namespaces import run
from sentinel_lab.topology import RECEIVER_ADDRESS
from support.netns import Bottleneck, bottleneck, wait_until
from support.old_kernel import without_tcx
from support.tier_a import EXIT_DEVICE, quiet

if TYPE_CHECKING:
    from collections.abc import Iterator

BULK_PORT, CALL_PORT, OTHER_PORT = 9001, 9002, 9003
UNMATCHED, BULK, CALL = 0, 1, 2
RATE = 500_000  # bytes a second: 100 packets of 1000 bytes stand for about 0.2 s
ROOM = 10_000_000
FRAME = 1042
HOUR_NS = 3600 * 10**9
TARGET_US = 20_000  # at RATE, what stands for so long is 10 packets
NOT_CAPABLE, CAPABLE, CONGESTED = 0, 2, 3
ECN = {"plain": NOT_CAPABLE, "capable": CAPABLE, "congested": CONGESTED}
SLOW = 25_000  # bytes a second: 150 packets stand for six seconds, so that a starved test still finds most of them
CONFIG = NodeConfig.model_validate(
    {
        "trafficClasses": [
            {"name": "bulk", "match": [{"protocol": "UDP", "port": BULK_PORT}]},
            {"name": "call", "match": [{"protocol": "UDP", "port": CALL_PORT}]},
        ]
    }
)


class Services:
    """On the node: each answers from its own port, as the rules name it for those who ask."""

    def __init__(self, wires: Bottleneck) -> None:
        self.wires = wires
        self.came: defaultdict[int, Counter[int]] = defaultdict(Counter)
        self.sockets = {port: socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for port in wires.incoming}
        for port, made in self.sockets.items():
            made.bind(("0.0.0.0", port))
            wires.incoming[port].setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)

    def send(self, port: int, count: int, ecn: int = NOT_CAPABLE) -> None:
        self.sockets[port].setsockopt(socket.IPPROTO_IP, socket.IP_TOS, ecn)
        for _ in range(count):
            self.sockets[port].sendto(bytes(1000), (RECEIVER_ADDRESS, port))

    def received(self, port: int) -> Counter[int]:
        """Since the beginning, by what the IP header says of congestion."""
        try:
            while True:
                _, ((_, _, tos),), _, _ = self.wires.incoming[port].recvmsg(2000, 64, socket.MSG_DONTWAIT)
                self.came[port][tos[0] & 3] += 1
        except BlockingIOError:
            return self.came[port]

    def wait_received(self, port: int, **wanted: int) -> None:
        """What left the queue is some way from the socket still."""
        told = {ECN[name]: count for name, count in wanted.items()}
        wait_until(lambda: self.received(port).total() >= sum(wanted.values()), f"{wanted} at {port}")
        assert self.received(port) == told


@pytest.fixture(params=["tcx", "cls_bpf"])
def way(request, monkeypatch) -> str:
    """How the program hangs there; to be named before `plane`."""
    if request.param == "cls_bpf":
        without_tcx(monkeypatch)
    elif not probe.probe().tcx:
        pytest.skip("this kernel has no tcx (6.6 or newer has)")
    return request.param


@pytest.fixture
def services() -> Iterator[Services]:
    with bottleneck((BULK_PORT, CALL_PORT, OTHER_PORT)) as wires:
        quiet(wires)
        made = Services(wires)
        yield made
        for each in made.sockets.values():
            each.close()


@pytest.fixture
def plane(services) -> Iterator[Plane]:
    pins.mount()
    place = Place(OBJECT, BPFFS / f"test-egress-{os.getpid()}", Interface(EXIT_DEVICE, Direction.EGRESS, RATE))
    made = open_plane(place, CONFIG)
    if made.verdict.tier is Tier.HTB:
        made.buffer.resize(dict.fromkeys((UNMATCHED, BULK, CALL), ROOM))
    yield made
    made.detach()
    made.close()


def order(plane: Plane, lease_ns: int = HOUR_NS) -> None:
    wanted = Order(ROOM, RATE, TARGET_US, police=False, mark=True)
    OrderTable(plane).write(dict.fromkeys((UNMATCHED, BULK, CALL), wanted), time.monotonic_ns() + lease_ns)


def pace(rate: int) -> None:
    """Let the queue empty as fast as this."""
    with Plumbing(layout.constants(OBJECT, "sn_queue_const")["SN_QUEUE_MAJOR"]) as plumbing:
        plumbing.ensure_trunk(socket.if_nametoindex(EXIT_DEVICE), rate)


def drained(plane: Plane) -> bool:
    return not any(each.backlog_packets for each in plane.buffer.read().values())


def qdiscs() -> str:
    return run("tc", "qdisc", "show", "dev", EXIT_DEVICE)


@pytest.mark.parametrize("lease_ns", [pytest.param(HOUR_NS, id="steered"), pytest.param(1, id="past the lease")])
def test_a_leaving_packet_waits_in_the_class_that_the_rules_give_its_flow(way, services, plane, lease_ns):
    assert plane.verdict.tier is Tier.HTB, plane.verdict.why
    order(plane, lease_ns)
    for port, count in ((BULK_PORT, 20), (CALL_PORT, 30), (OTHER_PORT, 7)):
        services.send(port, count)
    wait_until(lambda: drained(plane), "an empty queue")
    found = plane.buffer.read()
    assert [found[each].sent_packets for each in (UNMATCHED, BULK, CALL)] == [7, 20, 30]
    for port, count in ((BULK_PORT, 20), (CALL_PORT, 30), (OTHER_PORT, 7)):
        services.wait_received(port, plain=count)


def test_what_is_ecn_capable_is_marked_while_more_waits_than_the_target_allows(services, plane):
    plane.buffer.configure([QueueClass(each, SLOW // 4, RATE, ROOM) for each in (UNMATCHED, BULK, CALL)])
    pace(SLOW)
    order(plane)
    services.send(BULK_PORT, 150, CAPABLE)
    assert plane.buffer.read()[BULK].backlog_bytes > RATE * TARGET_US // 10**6, "the tick tells the kernel what waits"
    services.send(BULK_PORT, 10, CAPABLE)
    services.send(BULK_PORT, 5, NOT_CAPABLE)
    services.send(CALL_PORT, 8, CAPABLE)
    pace(RATE)
    wait_until(lambda: drained(plane), "an empty queue")
    services.send(BULK_PORT, 3, CAPABLE)
    services.wait_received(BULK_PORT, capable=153, congested=10, plain=5)
    services.wait_received(CALL_PORT, capable=8)  # another class pays nothing for it


def test_past_the_lease_the_last_limit_stays_and_nothing_is_marked(services, plane):
    order(plane, lease_ns=1)
    plane.buffer.resize({BULK: 20 * FRAME})
    sent = 100
    while plane.buffer.read()[BULK].backlog_bytes <= RATE * TARGET_US // 10**6:
        services.send(BULK_PORT, 15, CAPABLE)
        sent += 15
    services.send(BULK_PORT, 100, CAPABLE)
    wait_until(lambda: drained(plane), "an empty queue")
    found = plane.buffer.read()[BULK]
    assert found.limit_bytes == 20 * FRAME
    assert found.drops > 0
    assert found.sent_packets + found.drops == sent
    services.wait_received(BULK_PORT, capable=found.sent_packets)


def test_the_sample_counts_what_leaves_and_how_long_it_waited(services, plane):
    observer = Observer(plane, np.zeros(CLASSES))
    services.send(BULK_PORT, 100)
    standing = plane.buffer.read()[BULK].backlog_bytes
    wait_until(lambda: drained(plane), "an empty queue")
    sample = observer.look().sample
    assert (int(sample.packets[BULK]), int(sample.bytes[BULK])) == (100, 100 * FRAME)
    assert sample.has(Valid.SOJOURN)[BULK]
    # The last packet waits for the ones before it, as long as the rate makes that take.
    assert sojourn_quantile_us(plane.buffer.read()[BULK].sojourn, 1.0) > 0.8 * 10**6 * standing / RATE


def test_a_packet_carries_no_class_into_a_queue_that_is_not_ours(services, plane):
    """Whatever stands there now would read a band, or nothing, out of our class."""
    foreign = ("tbf", "rate", "1gbit", "burst", "9k", "limit", "1m")
    run("tc", "qdisc", "replace", "dev", EXIT_DEVICE, "root", "handle", "7:", *foreign)
    with pytest.raises(Transient):
        plane.buffer.read()
    services.send(BULK_PORT, 5)
    place = plane.loaded.map("sn_queue_place").get(0)
    assert int(place["ifindex"]) == 0
    services.wait_received(BULK_PORT, plain=5)


def test_handed_back_the_device_is_as_it_was(way, services):
    before = qdiscs()
    place = Place(OBJECT, BPFFS / f"test-egress-{os.getpid()}", Interface(EXIT_DEVICE, Direction.EGRESS, RATE))
    made = open_plane(place, CONFIG)
    assert qdiscs() != before
    assert ("clsact" in qdiscs()) == (way == "cls_bpf")
    services.send(BULK_PORT, 3)
    made.detach()
    assert qdiscs() == before
    assert not place.pins.exists()
    services.send(BULK_PORT, 4)
    wait_until(lambda: services.wires.received_in_all(BULK_PORT) == 7, "7 packets")
    assert int(made.loaded.map("sn_out_cells").view()["packets"].sum()) == 3, "the program is gone too"
    made.close()
