"""A BPF queue of another version is replaced under traffic: what stood in it and what comes meanwhile arrives."""

from __future__ import annotations

import threading
import time

import pytest

from sentinel_bpf import attach, layout, pins, probe
from sentinel_bpf.buffer import discipline
from sentinel_bpf.buffer.port import Direction, Interface, QueueClass, Tier
from sentinel_bpf.buffer.qdisc import QdiscBuffer
from sentinel_bpf.ruleset import RuleSet
from sentinel_core.rules import PROTOCOLS, Rule
from sentinel_lab.namespaces import run
from sentinel_lab.topology import NODE_DEVICE
from support import tier_a_node, tier_a_versions
from support.netns import wait_until
from support.tier_a import EXIT_DEVICE, HOUR_NS, PORTS, agent_object, give_lease, home
from support.tier_a_versions import FAST, OTHER, ROOM, A, as_that_version

RATE = 100_000
WIDE = [QueueClass(each, RATE // 2, RATE, ROOM) for each in (0, A)]
PIN = pins.link_path(probe.BPFFS / "test", "xdp", NODE_DEVICE)
HERE = Interface(NODE_DEVICE, Direction.INGRESS, RATE)
wires, other_home, leaving = tier_a_node.wires, tier_a_versions.other_home, tier_a_versions.leaving  # fixtures


@pytest.fixture
def agent(wires):
    with agent_object(frozenset({"sn_classify", "sn_ingress"})) as loaded:
        RuleSet(loaded).replace([Rule(A, destination_ports=(PORTS[A], PORTS[A]), protocol=PROTOCOLS["UDP"])])
        attach.attach(loaded.program("sn_ingress"), NODE_DEVICE, attach.Hook.XDP, PIN)
        queued = layout.constants(loaded.path, "sn_order_flag")["SN_ORDER_QUEUE"]
        give_lease(loaded, HOUR_NS, flags=queued, drain_Bps=RATE, max_bytes=ROOM)
        yield loaded
        attach.detach(PIN)


def test_on_the_way_out_it_is_detached_with_nothing_lost_that_stands_in_it(leaving, other_home):
    after = leaving.buffer(RATE)
    assert after.probe().tier is Tier.BPF_QDISC, after.probe().why
    after.detach()
    wait_until(lambda: leaving.received(A) == 60, "all that stood there")
    assert OTHER not in run("tc", "qdisc", "show")
    assert not list(other_home.pins.glob("*")), "the last queue takes the discipline with it"


def test_on_the_way_out_it_gives_way_under_traffic_and_nothing_is_lost(leaving, other_home, record_property):
    after, over, sent = leaving.buffer(FAST), threading.Event(), 60

    def traffic():
        nonlocal sent
        while not over.is_set():
            leaving.send(A, 2)
            sent += 2
            time.sleep(0.01)

    sending = threading.Thread(target=traffic)
    sending.start()
    try:
        after.configure([QueueClass(each, FAST // 2, FAST, ROOM) for each in (0, A)])
    finally:
        over.set()
        sending.join()
    wait_until(lambda: leaving.received(A) == sent, "all that stood there and all that came meanwhile")
    told = after.read()[A]
    assert (told.drops, told.sent_packets > 0) == (0, True)
    kinds = run("tc", "qdisc", "show", "dev", EXIT_DEVICE)
    assert (discipline.KIND in kinds, OTHER in kinds) == (True, False)
    assert not list(other_home.pins.glob("*")), "the last queue takes the discipline with it"
    record_property("packets sent during an exchange on the way out, none lost", sent - 60)
    after.detach()


def test_a_queue_of_another_version_gives_way_and_loses_nothing(wires, agent, other_home, monkeypatch):
    with as_that_version(monkeypatch):
        before = QdiscBuffer(HERE, agent, other_home)
        before.configure(WIDE)
    assert OTHER in run("tc", "qdisc", "show")
    wires.send(PORTS[A], 60)
    wait_until(lambda: before.read()[A].backlog_packets > 20, "a queue of some packets")
    after = QdiscBuffer(HERE, agent, home())
    assert after.probe().tier is Tier.BPF_QDISC, after.probe().why
    after.configure(WIDE)
    wires.send(PORTS[A], 40)
    wait_until(lambda: wires.received_in_all(PORTS[A]) == 100, "all 100 packets")
    told = after.read()[A]
    assert (told.sent_packets, told.drops) == (100, 0), "both counted into the maps of this one agent"
    assert discipline.KIND in run("tc", "qdisc", "show")
    after.detach()
