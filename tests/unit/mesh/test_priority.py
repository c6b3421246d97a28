"""Who says "I live", and who judges others by it, is scheduled before ordinary threads where that is allowed."""

import os
import queue
import threading

import pytest

from sentinel_api.errors import Transient
from sentinel_mesh import priority
from sentinel_mesh.beats import Beats
from sentinel_mesh.priority import go_first, prefer, preferred
from sentinel_mesh.voice import Voice
from sentinel_mesh.watch import Watch

PATIENCE_S = 60


def rank() -> tuple[int, int]:
    """Of the thread that asks."""
    return os.sched_getscheduler(0), os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def in_a_thread(work):
    """What it returned there: this thread's own rank must not change."""
    answers = queue.SimpleQueue()
    threading.Thread(target=lambda: answers.put(work())).start()
    return answers.get(timeout=PATIENCE_S)


def refused(*_):
    raise PermissionError


def ranked(work):
    return in_a_thread(lambda: (work(), rank())[1])


def test_a_beat_is_said_by_a_thread_that_goes_first():
    said = queue.SimpleQueue()
    beats = Beats(1, lambda _: said.put(rank()))
    beats.start()
    assert said.get(timeout=PATIENCE_S) == ranked(go_first)
    beats.stop()


def test_the_watcher_goes_first():
    looked = queue.SimpleQueue()
    watch = Watch(lambda: looked.put(rank()) or (), lambda _heard, _awake: None, lambda _now: False)
    watch.start()
    assert looked.get(timeout=PATIENCE_S) == ranked(go_first)
    watch.stop()


def test_states_are_told_by_a_thread_that_is_preferred():
    made = queue.SimpleQueue()

    def record(_, __):
        made.put(rank())
        raise Transient

    voice = Voice(record, lambda _: None)
    voice.start()
    voice.offer(True)
    assert made.get(timeout=PATIENCE_S) == ranked(prefer)
    voice.stop()


def test_what_a_thread_that_goes_first_starts_is_ordinary():
    def child():
        go_first()
        return in_a_thread(rank)

    assert in_a_thread(child)[0] == os.SCHED_OTHER


def test_what_is_preferred_stays_so_and_its_maker_does_not():
    def maker():
        before = rank()
        with preferred():
            started = in_a_thread(rank)
        return before, started, rank()

    before, started, after = in_a_thread(maker)
    assert before == after
    assert started == ranked(prefer)


@pytest.mark.parametrize(
    ("forbidden", "got"),
    [((), "real-time"), (("sched_setscheduler",), "nice"), (("sched_setscheduler", "setpriority"), "ordinary")],
)
def test_it_takes_what_the_system_lets_it_have(monkeypatch, forbidden, got):
    monkeypatch.setattr(priority.os, "sched_setscheduler", lambda *_: None)
    monkeypatch.setattr(priority.os, "setpriority", lambda *_: None)
    for each in forbidden:
        monkeypatch.setattr(priority.os, each, refused)
    assert go_first() == got
