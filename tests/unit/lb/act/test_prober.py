"""The heartbeat by which the kernel judges: told only when everybody who may be judged was asked for long enough."""

import os
import queue
import threading
import time

import numpy as np
import pytest

from sentinel_lb.act.prober import Answers, Prober, Round, Target, Wire
from sentinel_lb.decide.prober import MISSED, Rhythm
from sentinel_mesh.priority import go_first

PATIENCE_S = 60
UNHURRIED_NS = 100_000_000_000  # no round of this test comes late
WIRE = Wire(magic=1, version=1, ask=1, probe_port=18471, tunnel_port=18472)
OLD, NEW = (Target(number, "127.0.0.1", "127.0.0.1", "UDP") for number in (0, 1))


@pytest.fixture
def prober():
    heartbeat = np.zeros(1, [("beat_ns", "u8"), ("period_ns", "u8")])
    seen = np.zeros(2, [("last_seen_ns", "u8")])
    made = Prober(WIRE, heartbeat, seen)
    yield made
    for each in made._sockets.values():
        each.close()


def beats(prober, targets, rounds):
    """Whether the heartbeat was told in each of so many rounds; the old node answers all the while."""
    aimed = Round(UNHURRIED_NS, targets)
    prober.aim(aimed)
    assert not prober.believed(time.monotonic_ns()), "before the first round to these"
    volley, told = prober._lay_out(aimed), []
    for seq in range(rounds):
        prober._seen["last_seen_ns"][OLD.number] = time.monotonic_ns()
        prober._heartbeat["beat_ns"] = 0
        prober._fire(volley, seq)
        told.append(bool(prober._heartbeat["beat_ns"][0]))
    return told


def test_nobody_is_judged_before_he_had_his_time_to_answer(prober):
    waited = [False] * (MISSED + 1)
    assert beats(prober, (OLD,), MISSED + 3) == [*waited, True, True]
    assert beats(prober, (OLD, NEW), MISSED + 3) == [*waited, True, True]


def test_who_is_no_longer_asked_delays_no_judgement(prober):
    beats(prober, (OLD, NEW), MISSED + 2)
    assert beats(prober, (OLD,), 2) == [True, True]


def test_gaps_are_noted_by_node_and_only_from_the_second_answer_on():
    answers = Answers(since_ns=0)
    for seen in ([0, 1000], [30_000_000, 1000], [30_000_000, 90_001_000], [10**12, 90_001_000]):
        answers.note(np.array(seen, np.uint64))
    assert (answers.longest_ns, answers.rounds) == (90_000_000, 4)


def test_answers_that_come_late_teach_patience_here_and_in_the_kernel(prober):
    target_ns, late_ns = 50_000_000, 100_000_000
    volley = prober._lay_out(Round(target_ns, (OLD,)))
    prober.aim(prober._laid_out)
    prober._answers.seen_ns = None
    heard_ns = 10**12
    for _ in range(4 * (MISSED + 1)):
        heard_ns += late_ns
        prober._seen["last_seen_ns"][OLD.number] = heard_ns
        prober.rhythm = Rhythm(time.monotonic_ns(), MISSED + 1)
        prober._learn(time.monotonic_ns())
    assert volley.period_ns == target_ns
    assert prober.patience_ns == MISSED * target_ns, "a hundred milliseconds are within three intervals of fifty"
    prober.aim(Round(target_ns // 2, (OLD,)))
    assert prober.patience_ns > late_ns > MISSED * target_ns // 2


def test_when_everybody_falls_silent_at_once_nobody_is_dead_for_a_moment(prober):
    """The kernel takes for dead who is silent for longer than patience, while the heartbeat is not older than that."""
    beats(prober, (OLD, NEW), MISSED + 2)
    silent_ns = time.monotonic_ns()
    prober._seen["last_seen_ns"][:] = silent_ns
    prober._fire(prober._lay_out(prober.aimed), MISSED + 3)
    assert prober._heartbeat["beat_ns"][0] == silent_ns


def test_its_thread_is_scheduled_as_first_as_the_system_lets_it(prober):
    got = queue.SimpleQueue()
    threading.Thread(target=lambda: got.put((go_first(), os.sched_getscheduler(0))[1])).start()
    expected = got.get(timeout=PATIENCE_S)
    prober.start()
    deadline = time.monotonic() + PATIENCE_S
    while os.sched_getscheduler(prober._thread.native_id) != expected:
        assert time.monotonic() < deadline, "the prober waits for a CPU like everybody"
        time.sleep(0.01)
    prober.stop()
