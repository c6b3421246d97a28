"""The BPF queue beyond one process and direction: a killed loader, traffic that comes in, its pace next to HTB."""

from __future__ import annotations

import os
import signal
import time

import pytest

from sentinel_bpf import attach, layout, pins, probe
from sentinel_bpf.buffer import choice, discipline
from sentinel_bpf.buffer.htb import HtbBuffer
from sentinel_bpf.buffer.port import CLASSES, Direction, Interface, QueueClass, Tier, Verdict
from sentinel_bpf.buffer.programs import PROGRAMS, QueuePrograms
from sentinel_bpf.buffer.qdisc import QdiscBuffer
from sentinel_bpf.ruleset import RuleSet
from sentinel_core.rules import PROTOCOLS, Rule
from sentinel_lab.bench.resize import tier_a_vs_b_resize_ratio
from sentinel_lab.namespaces import run
from sentinel_lab.topology import NODE_DEVICE
from support import tier_a_node
from support.netns import bottleneck, wait_until
from support.tier_a import EXIT_DEVICE, HOUR_NS, PORTS, agent_object, egress, give_lease, home

RATE = 500_000
ROOM = 5_000_000
FRAME = 1042
A = 1
SLOW = 50_000  # ten frames stand for a fifth of a second: a starved guest still sends more than leaves
STATIC = [QueueClass(each, SLOW // 2, SLOW, 10 * FRAME) for each in (0, A)]
WIDE = [QueueClass(each, RATE // 2, RATE, ROOM) for each in (0, A)]
PIN = pins.link_path(probe.BPFFS / "test", "xdp", NODE_DEVICE)
wires = tier_a_node.wires  # a fixture


@pytest.fixture
def interface_and_agent():
    """On every kernel."""
    with bottleneck(()), agent_object(PROGRAMS) as agent:
        yield Interface(NODE_DEVICE, Direction.EGRESS, RATE), agent


def test_the_best_tier_of_this_kernel_is_chosen_and_the_reason_told(interface_and_agent, promised):
    _, verdict = choice.best(*interface_and_agent, home(), ROOM)
    if "qdisc_bpf" in promised:
        assert verdict == Verdict(Tier.BPF_QDISC, "a BPF queue on front egress")
    else:
        assert verdict.tier is Tier.HTB
        assert "has no BPF queueing disciplines" in verdict.why


def test_where_tier_b_stands_it_stays(interface_and_agent, promised):
    interface, agent = interface_and_agent
    programs = QueuePrograms(agent)
    HtbBuffer(interface, programs).configure(WIDE)
    programs.close()
    chosen, verdict = choice.best(interface, agent, home(), ROOM)
    assert verdict.tier is Tier.HTB
    if "qdisc_bpf" in promised:
        assert verdict.why.endswith("not tier A: front still has our queue of another tier (htb); detach it first")
    chosen.configure(WIDE)
    chosen.detach()


@pytest.fixture
def loader(wires):
    """A process that loads everything, steers the queue, and can be killed."""
    heard, said = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with agent_object() as agent, egress(agent, wires) as made:
                buffer = made.buffer(SLOW)
                buffer.configure(STATIC)
                buffer.resize({A: ROOM})
                while True:
                    give_lease(agent, 10**9)
                    os.write(said, b"!")
                    time.sleep(0.1)
        finally:
            os._exit(1)
    os.close(said)
    assert os.read(heard, 1) == b"!", "the loader failed"
    yield child
    os.close(heard)


def test_a_killed_loader_leaves_a_queue_that_goes_on_and_falls_back(wires, loader):
    with agent_object() as agent, egress(agent, wires) as out:
        out.send(A, 100)
        os.kill(loader, signal.SIGKILL)
        os.waitpid(loader, 0)
        wait_until(lambda: out.received(A) == 100, "what stood in the queue, and all that came before the kill")
        time.sleep(1)  # the lease
        out.send(A, 60)
        wait_until(lambda: "backlog 0b 0p" in run("tc", "-s", "qdisc", "show", "dev", EXIT_DEVICE), "an empty queue")
        got = out.received(A) - 100
        assert 10 <= got < 60, "past the lease the static limit of 10 frames holds"
        heir = out.buffer(RATE)
        heir.configure(WIDE)
        give_lease(agent, HOUR_NS)
        out.send(A, 60)
        # What had left the queue may have been on its way still when it was counted.
        wait_until(lambda: out.received(A) >= 100 + got + 60, "60 more, through the heir's limits")
        assert heir.read()[A].drops == 0
        heir.detach()
        assert not list(discipline.folder().glob("*")), "the last queue takes the discipline with it"


def test_traffic_that_comes_in_is_queued_by_its_class_while_the_lease_lasts(wires):
    with agent_object(frozenset({"sn_classify", "sn_ingress"})) as agent:
        RuleSet(agent).replace([Rule(A, destination_ports=(PORTS[A], PORTS[A]), protocol=PROTOCOLS["UDP"])])
        attach.attach(agent.program("sn_ingress"), NODE_DEVICE, attach.Hook.XDP, PIN)
        queued = layout.constants(agent.path, "sn_order_flag")["SN_ORDER_QUEUE"]
        give_lease(agent, HOUR_NS, flags=queued, drain_Bps=RATE, max_bytes=ROOM)
        buffer = QdiscBuffer(Interface(NODE_DEVICE, Direction.INGRESS, RATE), agent, home())
        buffer.configure(WIDE)
        wires.send(PORTS[A], 60)
        wires.send(PORTS[5], 20)
        # What was sent may still be on its way to the queue, which is as empty then as it is afterwards.
        sent = lambda: [buffer.read()[each].sent_packets for each in (A, 0)]  # noqa: E731
        wait_until(lambda: sent()[0] >= 60 and sent()[1] >= 20, "80 packets through the queue")
        found = buffer.read()
        assert found[A].sent_packets == 60
        assert found[0].sent_packets >= 20, "what no rule names, and what the sender's own kernel says"
        assert sum(found[A].sojourn) == 60
        give_lease(agent, 0, flags=queued, drain_Bps=RATE, max_bytes=ROOM)
        wires.send(PORTS[A], 40)
        wait_until(lambda: wires.received_in_all(PORTS[A]) == 100, "100 packets")
        assert buffer.read()[A].sent_packets == 60, "past its lease traffic takes the queue no more"
        buffer.detach()
        attach.detach(PIN)


def test_a_limit_moves_faster_than_by_netlink(wires, record_property):
    every = [QueueClass(each, RATE // CLASSES, RATE, ROOM) for each in range(CLASSES)]
    with agent_object(PROGRAMS) as agent:
        programs = QueuePrograms(agent)
        tier_a = QdiscBuffer(Interface(EXIT_DEVICE, Direction.EGRESS, RATE), agent, home())
        tier_b = HtbBuffer(Interface(NODE_DEVICE, Direction.EGRESS, RATE), programs)
        for each in (tier_a, tier_b):
            each.configure(every)
        one, all_ = (tier_a_vs_b_resize_ratio(tier_a, tier_b, ids) for ids in ([A], range(CLASSES)))
        record_property("tier_a_vs_b_resize_ratio", f"{one:.4f}")
        record_property("tier_a_vs_b_resize_16_ratio", f"{all_:.4f}")
        for each in (tier_a, tier_b):
            each.detach()
        programs.close()
    assert one < 1
    assert all_ < 1
