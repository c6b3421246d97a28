"""Every tier of the buffer answers alike; only what it does to packets differs."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from sentinel_api.errors import Invalid
from sentinel_bpf import object as bpf_object
from sentinel_bpf.buffer.htb import HtbBuffer
from sentinel_bpf.buffer.observe import ObserveBuffer
from sentinel_bpf.buffer.port import Buffer, Direction, Interface, QueueClass, Tier
from sentinel_bpf.buffer.programs import PROGRAMS, QueuePrograms
from sentinel_lab.dataplane import OBJECT
from sentinel_lab.topology import NODE_DEVICE
from support.netns import bottleneck, need_data_plane, without_ipv6

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

RATE = 1_000_000
CLASSES = [QueueClass(0, 100_000, RATE, 50_000), QueueClass(3, 600_000, RATE, 200_000)]


@contextmanager
def observe() -> Iterator[Buffer]:
    yield ObserveBuffer("a test asked for it")


def htb(direction: Direction) -> Callable[[], AbstractContextManager[Buffer]]:
    @contextmanager
    def opened() -> Iterator[Buffer]:
        need_data_plane()
        with bottleneck(()), bpf_object.load(OBJECT, bpf_object.Options(programs=PROGRAMS)) as agent:
            programs = QueuePrograms(agent)
            without_ipv6()
            try:
                yield HtbBuffer(Interface(NODE_DEVICE, direction, RATE), programs)
            finally:
                programs.close()

    return opened


TIERS = {
    "observe": (observe, Tier.OBSERVE),
    "htb-ingress": (htb(Direction.INGRESS), Tier.HTB),
    "htb-egress": (htb(Direction.EGRESS), Tier.HTB),
}


@pytest.fixture(params=TIERS.values(), ids=TIERS.keys())
def tiered(request) -> Iterator[tuple[Buffer, Tier]]:
    opened, tier = request.param
    with opened() as buffer:
        yield buffer, tier
        buffer.detach()


@pytest.fixture
def buffer(tiered) -> Buffer:
    return tiered[0]


def limits(buffer: Buffer) -> dict[int, int]:
    return {each: reading.limit_bytes for each, reading in buffer.read().items()}


def test_the_probe_names_the_tier_and_a_reason(tiered):
    buffer, tier = tiered
    verdict = buffer.probe()
    assert verdict.tier is tier
    assert verdict.why


def test_reading_before_configuring_finds_no_class(buffer):
    assert buffer.read() == {}


def test_each_configured_class_is_read_with_its_limit_and_empty(buffer):
    buffer.configure(CLASSES)
    assert limits(buffer) == {0: 50_000, 3: 200_000}
    assert all(each.backlog_bytes == each.drops == each.sent_packets == 0 for each in buffer.read().values())


def test_a_resize_changes_what_it_names_and_nothing_else(buffer):
    buffer.configure(CLASSES)
    buffer.resize({3: 123_456})
    assert limits(buffer) == {0: 50_000, 3: 123_456}


def test_a_resize_may_be_empty_repeated_or_all_at_once(buffer):
    buffer.configure(CLASSES)
    for wanted in ({}, {0: 1}, {0: 1}, {0: 7_000, 3: 4_294_967_295}):
        buffer.resize(wanted)
    assert limits(buffer) == {0: 7_000, 3: 4_294_967_295}


def test_configuring_again_brings_exactly_the_new_classes(buffer):
    buffer.configure(CLASSES)
    buffer.configure([QueueClass(0, 100_000, RATE, 60_000), QueueClass(15, 1_000, RATE, 10_000)])
    assert limits(buffer) == {0: 60_000, 15: 10_000}


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({5: 1_000}, id="an unknown class"),
        pytest.param({3: 0}, id="no room at all"),
        pytest.param({3: 1 << 32}, id="more than a limit can say"),
    ],
)
def test_a_wrong_resize_is_refused_whole(buffer, wrong):
    buffer.configure(CLASSES)
    with pytest.raises(Invalid):
        buffer.resize({0: 9_000} | wrong)
    assert limits(buffer) == {0: 50_000, 3: 200_000}


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param([QueueClass(1, 1, RATE, 1_000)], id="without class 0"),
        pytest.param([*CLASSES, CLASSES[1]], id="one class twice"),
        pytest.param([*CLASSES, QueueClass(16, 1, RATE, 1_000)], id="an id beyond the last"),
    ],
)
def test_wrong_classes_are_refused(buffer, wrong):
    with pytest.raises(Invalid):
        buffer.configure(wrong)
    assert buffer.read() == {}


def test_detaching_twice_leaves_nothing_to_read(buffer):
    buffer.configure(CLASSES)
    buffer.detach()
    buffer.detach()
    assert buffer.read() == {}
