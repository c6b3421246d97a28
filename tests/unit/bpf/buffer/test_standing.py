"""How long a queue is let run empty: as long as it does, and no longer than anybody's patience."""

import itertools

import pytest

from sentinel_bpf.buffer import standing


class Clock:
    """Sleeps at once; `late` is what each sleep takes longer than asked, on a machine that others keep busy."""

    def __init__(self, late: float = 0.0) -> None:
        self.now = 0.0
        self.late = late

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds + self.late


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(standing, "time", made)
    return made


def test_an_empty_queue_is_not_waited_for(clock):
    assert standing.wait_out(lambda: 0) == 0
    assert clock.now == 0


def test_what_becomes_less_is_waited_for_beyond_the_time_without_progress(clock):
    left = iter(range(5, -1, -1))
    slow = itertools.chain.from_iterable(itertools.repeat(each, 1000) for each in left)
    assert standing.wait_out(lambda: next(slow)) == 0
    assert clock.now > 2 * standing.STALL_S


def test_what_stands_still_is_given_up_and_told(clock):
    assert standing.wait_out(lambda: 7) == 7
    assert clock.now == pytest.approx(standing.STALL_S, abs=2 * standing.LOOK_S)


def test_what_comes_and_goes_is_no_progress(clock):
    level = itertools.cycle((9, 8, 10))
    assert standing.wait_out(lambda: next(level)) >= 8
    assert clock.now < 1.1 * standing.STALL_S


def test_patience_ends_though_it_becomes_less(clock):
    left = itertools.count(10**9, -1)
    assert standing.wait_out(lambda: next(left)) > 10**8
    assert clock.now == pytest.approx(standing.PATIENCE_S, abs=2 * standing.LOOK_S)


def test_few_are_as_good_as_none(clock):
    assert standing.wait_out(lambda: 8, least=8) == 8
    assert clock.now == 0


def test_a_process_without_a_processor_has_not_waited(clock):
    """It comes back after an hour, and what it waits for needs some looks of ours."""
    clock.late = 3600.0
    left = iter([3, 3, 3, 3, 3, 0])
    assert standing.wait_out(lambda: next(left)) == 0
