"""Tier A's code under the name of another version, and a queue of that version on a node's way out."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace

import pytest

from sentinel_bpf.buffer import discipline
from sentinel_bpf.buffer.port import Direction, Interface, QueueClass
from sentinel_bpf.buffer.qdisc import QdiscBuffer
from support.tier_a import EXIT_DEVICE, HOUR_NS, agent_object, egress, give_lease, home

SLOW = 25_000  # 60 packets stand for two and a half seconds: an emulated guest on a busy host still finds some
FAST = 10_000_000  # whatever an emulated guest sends while it exchanges queues is gone soon after
ROOM = 5_000_000
A = 1
OTHER = f"{discipline.OPERATIONS}{discipline.VERSION + 1}"
THERE = Interface(EXIT_DEVICE, Direction.EGRESS, SLOW)


@pytest.fixture
def other_home(tmp_path):
    """The same code under the name of another version, pinned where that version pins."""
    ours, name = home(), discipline.KIND.encode()
    raw = ours.object_path.read_bytes()
    assert raw.count(name) >= 1
    path = tmp_path / ours.object_path.name
    path.write_bytes(raw.replace(name, OTHER.encode()))
    return replace(ours, object_path=path, pins=ours.pins.with_name(f"v{discipline.VERSION + 1}"))


@contextmanager
def as_that_version(monkeypatch):
    with monkeypatch.context() as other:
        other.setattr(discipline, "KIND", OTHER)
        yield


@pytest.fixture
def leaving(wires, other_home, monkeypatch):
    """A queue of that version on the way out, in which 60 packets of class A stand."""
    with agent_object() as agent, egress(agent, wires) as out:
        give_lease(agent, HOUR_NS)
        with as_that_version(monkeypatch):
            before = QdiscBuffer(THERE, agent, other_home)
            before.configure([QueueClass(each, SLOW // 2, SLOW, ROOM) for each in (0, A)])
        out.send(A, 60)
        assert before.read()[A].backlog_packets > 0
        yield out
