"""The bystander's waits, apart by what stood beside it."""

import pytest

from sentinel_lab import waits
from sentinel_lab.bench import burst_page
from sentinel_lab.history import History, Tick
from sentinel_lab.scenario import MIXED, SINGLE

OWN, BURSTY = SINGLE.named(SINGLE.beside).id, SINGLE.bursty.id
BULK = MIXED.named("bulk").id


def history(backlogs, spent):
    """`spent`: of each period, in which bucket the bystander's one packet was."""
    told, counts = History(), [0] * 8
    for at, (backlog, bucket) in enumerate(zip(backlogs, [None, *spent], strict=True)):
        if bucket is not None:
            counts[bucket] += 1
        told.add(OWN, Tick(at, 1, 0, 0, 0, 0, 0, 0, tuple(counts)))
        told.add(BURSTY, Tick(at, 1, backlog, 0, 0, 0, 0, 0, ()))
    return told


def test_a_period_counts_as_standing_when_something_stood_at_either_end():
    found = waits.beside(SINGLE, history([0, 0, 9_000, 0, 0, 1_000], [1, 3, 4, 2, 1]))
    assert found == {"standing": [0, 0, 0, 1, 1], "clear": [0, 2, 1]}


def test_any_other_class_may_be_what_stands():
    told = history([0, 0, 0], [1, 3])
    for at, backlog in enumerate([0, 0, 9_000]):
        told.add(BULK, Tick(at, 1, backlog, 0, 0, 0, 0, 0, ()))
    assert waits.beside(MIXED, told) == {"standing": [0, 0, 0, 1], "clear": [0, 1]}


def test_of_a_run_in_which_nothing_was_timed_nothing_is_told():
    assert waits.beside(SINGLE, History()) == {}
    assert waits.together([]) == {}


def test_packets_of_all_rounds_count_alike():
    rows = [{"standing": [0, 0, 1], "clear": [0, 9]}, {"standing": [0, 0, 0, 0, 30], "clear": []}]
    found = waits.together(rows)
    assert found["standing_percent"] == pytest.approx(100 * 31 / 40)
    assert found["standing_us_p99"] > 2 > found["clear_us_p99"] > 1


def test_a_page_shows_them_where_they_were_told_apart():
    rows = [{"name": "periodic", "policy": "static-small", "beside_waits": {"standing": [0, 0, 1], "clear": [9]}}]
    scenario = {"drain_bytes_per_s": SINGLE.drain_bytes_per_s, "pool_bytes": SINGLE.pool_bytes}
    rows = [row | scenario | {"floor_bytes": SINGLE.floor_bytes} for row in rows]
    (told,) = burst_page._beside(rows, "periodic", ["static-small", "predictive"])
    assert told.splitlines()[-1].startswith("| static-small | 10.0 |")
    assert not list(burst_page._beside([row | {"beside_waits": {}} for row in rows], "periodic", ["static-small"]))
