"""What every tier does to packets on their way out: it loses none that it let in, and no aggregate for being one."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from sentinel_bpf.buffer.htb import HtbBuffer
from sentinel_bpf.buffer.observe import ObserveBuffer
from sentinel_bpf.buffer.port import Buffer, Direction, Interface, QueueClass
from sentinel_bpf.buffer.programs import PROGRAMS, QueuePrograms
from support.netns import bottleneck, need_data_plane, wait_until
from support.tier_a import EXIT_DEVICE, HOUR_NS, PORTS, Egress, agent_object, egress, give_lease

if TYPE_CHECKING:
    from collections.abc import Iterator

RATE = 100_000  # bytes a second: 60 packets stand for more than half a second
FRAME = 1042  # a 1000-byte datagram with its UDP, IP and Ethernet headers
ROOM = 1_000_000
CLASS = 3
AGGREGATE = 40


def with_class(limit_bytes: int) -> list[QueueClass]:
    return [QueueClass(0, RATE // 4, RATE, ROOM), QueueClass(CLASS, RATE // 2, RATE, limit_bytes)]


Way = tuple[Egress, Buffer]


@contextmanager
def leaving(programs: frozenset[str] = PROGRAMS) -> Iterator[Egress]:
    """A node whose packets say their class themselves, with a lease for all of them."""
    need_data_plane()
    with (
        bottleneck(tuple(PORTS.values())) as wires,
        agent_object(programs) as agent,
        egress(agent, wires) as out,
    ):
        give_lease(agent, HOUR_NS)
        yield out


@contextmanager
def observe(out: Egress) -> Iterator[Buffer]:
    yield ObserveBuffer("a test asked for it")


@contextmanager
def htb(out: Egress) -> Iterator[Buffer]:
    programs = QueuePrograms(out.agent)
    buffer = HtbBuffer(Interface(EXIT_DEVICE, Direction.EGRESS, RATE), programs)
    yield buffer
    buffer.detach()
    programs.close()


@pytest.fixture(params=[observe, htb], ids=lambda opened: opened.__name__)
def way_out(request) -> Iterator[Way]:
    with leaving() as out, request.param(out) as buffer:
        yield out, buffer


def test_an_aggregate_larger_than_the_limit_goes_in_as_far_as_there_is_room(way_out):
    out, buffer = way_out
    buffer.configure(with_class(AGGREGATE // 2 * FRAME))
    for already in (0, AGGREGATE // 2):
        out.send_aggregate(CLASS, AGGREGATE)
        wait_until(lambda least=already + AGGREGATE // 2: out.received(CLASS) >= least, "what there was room for")
        wait_until(lambda: not buffer.read()[CLASS].backlog_packets, "an empty queue")


def test_a_class_that_leaves_loses_nothing_that_stands_in_it(way_out):
    out, buffer = way_out
    buffer.configure(with_class(ROOM))
    out.send(CLASS, 60)
    buffer.configure([QueueClass(0, RATE // 4, RATE, ROOM)])
    assert buffer.read().keys() == {0}
    wait_until(lambda: bool(buffer.read()) and out.received(CLASS) == 60, "all that stood in the class")


def test_a_class_that_comes_back_while_it_empties_keeps_what_stands_in_it(way_out):
    out, buffer = way_out
    buffer.configure(with_class(ROOM))
    out.send(CLASS, 40)
    buffer.configure([QueueClass(0, RATE // 4, RATE, ROOM)])
    buffer.configure(with_class(ROOM))
    out.send(CLASS, 20)
    wait_until(lambda: bool(buffer.read()) and out.received(CLASS) == 60, "what came before and after")
    assert buffer.read()[CLASS].drops == 0
