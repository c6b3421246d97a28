"""The shared drain serves guarantees first, lends the rest by weight, and loses nothing but what it says it loses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel_lab.sim.queue import TOKENS_S, Queues

STEP_S = 0.001
LINK = 8_000_000.0
PER_STEP = LINK * STEP_S


def queues(shares=(0.5, 0.1, 0.3), limits=(64_000, 64_000, 64_000), frame=1.0) -> Queues:
    return Queues(
        drain=LINK,
        share=shares,
        frame_bytes=[frame] * len(shares),
        limit=limits,
        step_s=STEP_S,
    )


def served_per_step(made: Queues, arriving: list[float], steps: int = 200) -> list[float]:
    """After the tokens that every rate starts with are spent."""
    for _ in range(steps):
        made.step(arriving)
    return made.served


def test_a_lone_class_gets_the_whole_link():
    assert served_per_step(queues(), [3 * PER_STEP, 0, 0]) == pytest.approx([PER_STEP, 0, 0])


def test_a_class_within_its_guarantee_never_waits_for_the_others():
    made = queues()
    for _ in range(300):
        made.step([3 * PER_STEP, 0.1 * PER_STEP, 3 * PER_STEP])
        assert made.backlog[1] == pytest.approx(0)


def test_what_nobody_is_sure_of_is_shared_by_guarantee():
    both = served_per_step(queues(), [3 * PER_STEP, 0, 3 * PER_STEP])
    left = 0.2 * PER_STEP
    assert both == pytest.approx([0.5 * PER_STEP + left * 0.5 / 0.8, 0, 0.3 * PER_STEP + left * 0.3 / 0.8])


def test_what_a_class_does_not_want_goes_to_those_who_do():
    assert served_per_step(queues(), [3 * PER_STEP, 0, 0.31 * PER_STEP]) == pytest.approx(
        [0.69 * PER_STEP, 0, 0.31 * PER_STEP]
    )


def test_an_idle_link_lets_two_milliseconds_of_its_rate_pass_at_once():
    made = queues(limits=(1_000_000, 0, 0))
    made.step([10 * PER_STEP, 0, 0])
    assert made.served[0] == pytest.approx(PER_STEP + TOKENS_S * LINK)


def test_a_full_queue_drops_what_exceeds_the_drain_and_no_more():
    made = queues()
    for _ in range(100):
        made.step([2 * PER_STEP, 0, 0])
    assert made.backlog[0] == pytest.approx(64_000)
    assert made.dropped[0] == pytest.approx(PER_STEP)


def test_shrinking_drops_nothing_that_stands_and_refuses_arrivals_until_there_is_room():
    made = queues()
    for _ in range(100):
        made.step([2 * PER_STEP, 0, 0])
    made.resize([16_000.0, 64_000.0, 64_000.0])
    made.step([1_000, 0, 0])
    assert made.dropped[0] == pytest.approx(1_000)
    assert made.backlog[0] == pytest.approx(64_000 - PER_STEP)
    for _ in range(6):
        made.step([0, 0, 0])
    made.step([1_000, 0, 0])
    assert made.dropped[0] == 0


def test_a_queue_holds_whole_frames():
    made = queues(limits=(10_400, 0, 0), frame=1_000.0)
    for _ in range(50):
        made.step([2 * PER_STEP, 0, 0])
    assert made.backlog[0] == pytest.approx(10_000)


@given(
    st.lists(st.lists(st.integers(0, 40_000), min_size=3, max_size=3), min_size=1, max_size=40),
    st.lists(st.integers(0, 100_000), min_size=3, max_size=3),
)
def test_every_byte_is_served_dropped_or_still_there(offered, limits):
    made = queues(limits=tuple(limits))
    arrived, served, dropped = 0.0, 0.0, 0.0
    for row in offered:
        made.step(list(row))
        arrived, served, dropped = arrived + sum(row), served + sum(made.served), dropped + sum(made.dropped)
        assert min(made.backlog) >= -1e-6
        assert min(made.dropped) >= 0
        assert sum(made.backlog) <= sum(limits) + 1e-6
    assert arrived == pytest.approx(served + dropped + sum(made.backlog))
    # The classes' own tokens may be spent beyond the link's, as in HTB; the link then owes them.
    assert served <= LINK * (STEP_S * len(offered) + 2 * TOKENS_S) + 1e-3
