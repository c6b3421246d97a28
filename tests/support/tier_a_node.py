"""A node for tier A: one of the test's own, or with a queue on its way out for a whole module of tests, each of which
counts from zero."""

from __future__ import annotations

import pytest

from sentinel_bpf.buffer.port import CLASSES, Direction, Interface, QueueClass
from sentinel_bpf.buffer.qdisc import QdiscBuffer
from sentinel_lab.topology import NODE_DEVICE
from support.netns import bottleneck, wait_until
from support.tier_a import HOUR_NS, PORTS, agent_object, egress, give_lease, home

RATE = 500_000  # bytes a second: 100 packets of 1000 bytes stand for about 0.2 s
SLOW = 25_000  # 50 packets stand for two seconds: an emulated guest on a busy host still finds them there
ROOM = 5_000_000
FRAME = 1042  # a 1000-byte datagram with its UDP, IP and Ethernet headers
A, B = 1, 2


def need_tier_a(promised):
    if "qdisc_bpf" not in promised:
        pytest.skip("this kernel has no queueing disciplines in BPF (6.16 or newer has), so there is no tier A")


@pytest.fixture
def wires(promised):
    """A node of the test's own between a sender and a receiver, without a queue as yet."""
    need_tier_a(promised)
    with bottleneck(tuple(PORTS.values())) as made:
        yield made


@pytest.fixture(scope="module")
def node(promised):
    """The queue of another device keeps the discipline registered, so that not every test has to load it."""
    need_tier_a(promised)
    with bottleneck(tuple(PORTS.values())) as wires, agent_object() as agent, egress(agent, wires) as made:
        other = QdiscBuffer(Interface(NODE_DEVICE, Direction.EGRESS, RATE), agent, home())
        other.configure([QueueClass(0, 1, RATE, ROOM)])
        yield made
        other.detach()


@pytest.fixture
def out(node):
    """Each test counts from zero."""
    give_lease(node.agent, HOUR_NS)
    for each in range(CLASSES):
        node.agent.map("sn_backlog").put(each)
        node.received(each)
    node.wires.totals.clear()
    return node


@pytest.fixture
def queue(out):
    """Two classes with room, and class 0."""
    buffer = out.buffer(RATE)
    buffer.configure([QueueClass(each, RATE // 4, RATE, ROOM) for each in (0, A, B)])
    yield buffer
    buffer.detach()


def pace(queue, rate):
    """Let the queue empty as fast as this."""
    queue._queue.drain["rate_Bps"] = rate


def drained(buffer):
    return not any(each.backlog_packets for each in buffer.read().values())


def sent_bytes(buffer):
    return {each: reading.sent_bytes for each, reading in buffer.read().items()}


def wait_empty(buffer):
    wait_until(lambda: drained(buffer), "an empty queue")
