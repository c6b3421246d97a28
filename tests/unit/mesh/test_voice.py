"""A node's voice: the newest value is told, nobody waits, and what stands still is not told again."""

import threading

import pytest

from sentinel_api.errors import Transient
from sentinel_api.records import NodeState, Role, Tier
from sentinel_api.wire import unpack_state
from sentinel_mesh.voice import Voice

PATIENCE_S = 60


def record(value, seq):
    return NodeState(incarnation=1, seq=seq, tier=Tier.A, role=Role.BUFFER, load=value)


class Ear:
    """Keeps what was sent; `closed` holds the sender back, as a full link would."""

    def __init__(self):
        self.heard, self.came, self.open = [], threading.Semaphore(0), threading.Event()
        self.open.set()

    def send(self, raw):
        assert self.open.wait(PATIENCE_S)
        self.heard.append(unpack_state(raw))
        self.came.release()

    def wait(self):
        assert self.came.acquire(timeout=PATIENCE_S)


@pytest.fixture
def ear():
    return Ear()


@pytest.fixture
def voice(ear):
    voice = Voice(record, ear.send)
    voice.start()
    yield voice
    ear.open.set()
    voice.stop()


def test_values_are_told_in_order_with_growing_numbers(ear, voice):
    for value in (0.25, 0.5):
        voice.offer(value)
        ear.wait()
    assert [(each.seq, each.load) for each in ear.heard] == [(1, 0.25), (2, 0.5)]


def test_offering_never_waits_and_only_the_newest_is_kept(ear, voice):
    ear.open.clear()
    for value in range(1000):
        voice.offer(value / 1000)
    ear.open.set()
    while not ear.heard or ear.heard[-1].load != 0.999:
        ear.wait()
    assert len(ear.heard) <= 3
    assert voice.sent <= 3


def test_nothing_new_means_silence(ear, voice):
    voice.offer(0.5)
    ear.wait()
    assert not ear.came.acquire(timeout=0.3)


def test_an_engine_that_takes_nothing_is_counted_and_tried_again_with_the_next(ear):
    tried = threading.Event()

    def send(raw):
        if not tried.is_set():
            tried.set()
            raise Transient("no")
        ear.send(raw)

    voice = Voice(record, send)
    voice.start()
    voice.offer(0.1)
    assert tried.wait(PATIENCE_S)
    voice.offer(0.2)
    ear.wait()
    voice.stop()
    assert (voice.sent, voice.unsent, ear.heard[0].load) == (1, 1, 0.2)
