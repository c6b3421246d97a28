"""A BPF queue of another ABI version is replaced under traffic: what stood in it and what comes meanwhile arrives."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sentinel_bpf import attach, layout, pins, probe
from sentinel_bpf.buffer import discipline
from sentinel_bpf.buffer.port import Direction, Interface, QueueClass, Tier
from sentinel_bpf.buffer.qdisc import QdiscBuffer
from sentinel_bpf.object import ABI_VERSION
from sentinel_bpf.ruleset import RuleSet
from sentinel_core.rules import PROTOCOLS, Rule
from sentinel_lab.namespaces import run
from sentinel_lab.topology import NODE_DEVICE
from support.netns import bottleneck, wait_until
from support.tier_a import HOUR_NS, PORTS, agent_object, give_lease, home

RATE = 100_000
ROOM = 5_000_000
A = 1
WIDE = [QueueClass(each, RATE // 2, RATE, ROOM) for each in (0, A)]
OTHER = f"{discipline.OPERATIONS}{ABI_VERSION + 1}"
PIN = pins.link_path(probe.BPFFS / "test", "xdp", NODE_DEVICE)
HERE = Interface(NODE_DEVICE, Direction.INGRESS, RATE)


@pytest.fixture
def wires(promised):
    if "qdisc_bpf" not in promised:
        pytest.skip("this kernel has no queueing disciplines in BPF (6.16 or newer has), so there is no tier A")
    with bottleneck(tuple(PORTS.values())) as made:
        yield made


@pytest.fixture
def agent(wires):
    with agent_object(frozenset({"sn_classify", "sn_ingress"})) as loaded:
        RuleSet(loaded).replace([Rule(A, destination_ports=(PORTS[A], PORTS[A]), protocol=PROTOCOLS["UDP"])])
        attach.attach(loaded.program("sn_ingress"), NODE_DEVICE, attach.Hook.XDP, PIN)
        queued = layout.constants(loaded.path, "sn_order_flag")["SN_ORDER_QUEUE"]
        give_lease(loaded, HOUR_NS, flags=queued, drain_Bps=RATE, max_bytes=ROOM)
        yield loaded
        attach.detach(PIN)


@pytest.fixture
def other_home(tmp_path):
    """The same code under the name of another version, pinned where that version pins."""
    ours, name = home(), discipline.KIND.encode()
    raw = ours.object_path.read_bytes()
    assert raw.count(name) >= 1
    path = tmp_path / ours.object_path.name
    path.write_bytes(raw.replace(name, OTHER.encode()))
    return replace(ours, object_path=path, pins=ours.pins.with_name(f"v{ABI_VERSION + 1}"))


def test_a_queue_of_another_version_gives_way_and_loses_nothing(wires, agent, other_home, monkeypatch):
    with monkeypatch.context() as as_that_version:
        as_that_version.setattr(discipline, "KIND", OTHER)
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
