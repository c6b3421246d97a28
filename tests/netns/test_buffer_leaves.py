"""The leaves of tier B: what the kernel refuses in part, frames that grow, and what is left of a class that went."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from sentinel_api.errors import Transient
from sentinel_bpf import layout
from sentinel_bpf.buffer import wire
from sentinel_bpf.buffer.htb import HtbBuffer
from sentinel_bpf.buffer.leaves import limits
from sentinel_bpf.buffer.port import Direction, Interface, QueueClass
from sentinel_bpf.buffer.programs import PROGRAMS, QueuePrograms
from sentinel_lab.namespaces import run
from sentinel_lab.topology import RECEIVER
from support.netns import bottleneck, wait_until
from support.tier_a import EXIT_DEVICE, PORTS, Egress, agent_object, egress

if TYPE_CHECKING:
    from collections.abc import Iterator

RATE = 10_000_000
ROOM = 1_000_000
A, B = 1, 2
BUCKET_OF_B = "5e17:12"


def classes(*ids: int, rate: int = RATE) -> list[QueueClass]:
    return [QueueClass(each, rate // 4, rate, ROOM) for each in ids]


@pytest.fixture
def out() -> Iterator[Egress]:
    with bottleneck(tuple(PORTS.values())) as wires, agent_object(PROGRAMS) as agent, egress(agent, wires) as made:
        yield made


@pytest.fixture
def buffer(out) -> Iterator[HtbBuffer]:
    programs = QueuePrograms(out.agent)
    made = HtbBuffer(Interface(EXIT_DEVICE, Direction.EGRESS, RATE), programs)
    made.configure(classes(0, A, B))
    yield made
    made.detach()
    programs.close()


def kernels_limits(out: Egress) -> dict[int, int]:
    known = layout.constants(out.agent.path, "sn_queue_const")
    found = limits(wire.Rtnl().standing([socket.if_nametoindex(EXIT_DEVICE)]), known["SN_QUEUE_MAJOR"])
    return {minor - known["SN_QUEUE_MINOR"]: limit for minor, limit in found.items()}


def test_what_the_kernel_took_of_a_resize_is_known_where_it_refused_the_rest(out, buffer):
    run("tc", "qdisc", "del", "dev", EXIT_DEVICE, "parent", BUCKET_OF_B)
    with pytest.raises(Transient):
        buffer.resize({A: 5_000, B: 5_000})
    assert kernels_limits(out)[A] == 5_000
    buffer.resize({A: ROOM})
    assert kernels_limits(out)[A] == ROOM


def test_the_leafs_own_limit_moves_with_every_resize(out, buffer):
    for limit in (1, 70_000, 4_000_000_000, 20_000):
        buffer.resize({A: limit, B: limit})
        assert kernels_limits(out) == {0: ROOM, A: limit, B: limit}


def test_frames_that_grow_while_the_queue_stands_are_not_refused_for_long(out, buffer):
    out.wires.spaces[RECEIVER].ip("link", "set", "in", "mtu", "9000")
    run("ip", "link", "set", EXIT_DEVICE, "mtu", "9000")
    buffer.resize({A: 30_000})
    buffer.read()
    out.send(A, 3, size=8_000)
    wait_until(lambda: out.received(A) == 3, "three jumbo frames")


def test_a_class_that_went_is_gone_from_the_kernel_once_it_is_empty(out, buffer):
    out.send(A, 20)
    buffer.configure(classes(0, B))
    wait_until(lambda: out.received(A) == 20, "all that stood in the class")
    wait_until(lambda: buffer.read().keys() == {0, B} and A not in kernels_limits(out), "the class is gone")
