"""The queue that turns many events of one cluster into one look."""

import asyncio

import pytest

from sentinel_operator.due import LAST_RETRY_S, LAST_TRANSIENT_RETRY_S, ClusterName, Due, retry_after_s

ONE, TWO = ClusterName("default", "one"), ClusterName("default", "two")


def test_many_marks_make_one_look():
    async def story() -> list[ClusterName]:
        due = Due()
        for _ in range(100):
            due.mark(ONE)
        due.mark(TWO)
        return [await due.take(), await due.take()]

    assert asyncio.run(story()) == [ONE, TWO]


def test_a_mark_during_a_look_is_not_lost():
    async def story() -> ClusterName:
        due = Due()
        due.mark(ONE)
        await due.take()
        due.mark(ONE)
        return await due.take()

    assert asyncio.run(story()) == ONE


def test_take_waits_for_the_first_mark():
    async def story() -> ClusterName:
        due = Due()
        taker = asyncio.create_task(due.take())
        await asyncio.sleep(0)
        assert not taker.done()
        due.mark(TWO)
        return await taker

    assert asyncio.run(story()) == TWO


def test_failures_wait_longer_each_time_up_to_a_bound():
    due = Due()
    waits = [due.failed(ONE) for _ in range(12)]
    assert waits == sorted(waits)
    assert waits[0] == 1.0
    assert waits[-1] == LAST_RETRY_S


def test_a_server_that_is_away_is_asked_again_soon_however_long_it_was():
    due = Due()
    assert max(due.failed(ONE, transient=True) for _ in range(50)) == LAST_TRANSIENT_RETRY_S


def test_success_forgets_the_failures():
    due = Due()
    due.failed(ONE)
    due.failed(ONE)
    due.succeeded(ONE)
    assert due.failed(ONE) == retry_after_s(1)


@pytest.mark.parametrize("failures", [1, 50, 10_000])
def test_the_wait_stays_bounded_however_often_it_fails(failures):
    assert 0 < retry_after_s(failures) <= LAST_RETRY_S


def test_a_cluster_that_rests_is_looked_at_once_afterwards_however_often_it_was_marked():
    async def story() -> list[ClusterName]:
        due = Due()
        due.rest(ONE, 0.01)
        for _ in range(100):
            due.mark(ONE)
        due.mark(TWO)
        return [await due.take(), await due.take()]

    assert asyncio.run(story()) == [TWO, ONE]


def test_a_person_ends_the_rest():
    async def story() -> ClusterName:
        due = Due()
        due.rest(ONE, 3_600)
        due.urge(ONE)
        return await due.take()

    assert asyncio.run(story()) == ONE
