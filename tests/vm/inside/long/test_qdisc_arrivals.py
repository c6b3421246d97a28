"""What tier A does to the packets that come in through it, beyond holding them."""

from __future__ import annotations

import pytest

from sentinel_bpf import attach, layout, pins, probe
from sentinel_bpf.buffer.port import Direction, Interface, QueueClass
from sentinel_bpf.buffer.qdisc import QdiscBuffer
from sentinel_bpf.ruleset import RuleSet
from sentinel_core.rules import PROTOCOLS, Rule
from sentinel_lab.namespaces import run
from sentinel_lab.topology import NODE_DEVICE
from support import tier_a_node
from support.netns import wait_until
from support.tier_a import HOUR_NS, PORTS, agent_object, give_lease, home

RATE = 500_000
ROOM = 5_000_000
A, PORT = 1, PORTS[1]
PIN = pins.link_path(probe.BPFFS / "test", "xdp", NODE_DEVICE)
wires = tier_a_node.wires  # a fixture


@pytest.fixture
def queue(wires):
    with agent_object(frozenset({"sn_classify", "sn_ingress"})) as agent:
        RuleSet(agent).replace([Rule(A, destination_ports=(PORT, PORT), protocol=PROTOCOLS["UDP"])])
        attach.attach(agent.program("sn_ingress"), NODE_DEVICE, attach.Hook.XDP, PIN)
        queued = layout.constants(agent.path, "sn_order_flag")["SN_ORDER_QUEUE"]
        give_lease(agent, HOUR_NS, flags=queued, drain_Bps=RATE, max_bytes=ROOM)
        made = QdiscBuffer(Interface(NODE_DEVICE, Direction.INGRESS, RATE), agent, home())
        made.configure([QueueClass(each, RATE // 2, RATE, ROOM) for each in (0, A)])
        yield made
        made.detach()
        attach.detach(PIN)


def test_the_stack_gets_packets_with_the_priority_they_came_with(wires, queue):
    """IPv6 and bridges hand it on to the next device, whose queue would read a band or a class out of it."""
    run("nft", "add table ip sn; add chain ip sn in { type filter hook prerouting priority 0; }")
    run("nft", "add rule ip sn in udp dport", str(PORT), "meta priority != 0:0 counter")
    wires.send(PORT, 20)
    wait_until(lambda: wires.received_in_all(PORT) == 20, "20 packets")
    assert queue.read()[A].sent_packets == 20
    assert "counter packets 0 bytes 0" in run("nft", "list chain ip sn in")
