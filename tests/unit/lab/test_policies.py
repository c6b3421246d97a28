"""The rivals must be strong: a weak reactive rule would flatter every other one."""

import pytest

from sentinel_lab.policies import POLICIES, Reactive, Seen
from sentinel_lab.scenario import SINGLE

FLOOR, POOL = 64_000, 10_000_000
SECOND_NS = 1_000_000_000


def seen(now_s=0.0, backlog=0, limit=FLOOR, arrived=0, drained=0, drops=0) -> Seen:
    return Seen(int(now_s * SECOND_NS), 0.1, backlog, limit, arrived, drained, drops)


@pytest.fixture
def reactive() -> Reactive:
    return Reactive("reactive-100ms", 0.1, FLOOR, POOL)


def test_it_makes_room_for_the_backlog_and_two_more_periods_of_its_growth(reactive):
    assert reactive.limit(seen(backlog=100_000, arrived=300_000, drained=100_000)) == FLOOR + 100_000 + 400_000


def test_a_drop_doubles_the_limit_even_when_the_slope_says_less(reactive):
    assert reactive.limit(seen(limit=1_000_000, drops=1)) == 2_000_000


def test_it_keeps_what_it_has_while_it_needs_half_of_it(reactive):
    for step in range(100):
        assert reactive.limit(seen(now_s=step / 10, backlog=400_000, limit=800_000)) == 800_000


def test_it_gives_back_after_a_second_of_calm_and_not_before(reactive):
    reactive.limit(seen(now_s=10, backlog=800_000, limit=800_000))
    assert reactive.limit(seen(now_s=10.9, limit=900_000)) == 900_000
    assert reactive.limit(seen(now_s=11.0, limit=900_000)) == FLOOR


def test_it_stays_between_the_floor_and_the_pool(reactive):
    assert reactive.limit(seen(backlog=50_000_000)) == POOL
    assert reactive.limit(seen(now_s=5)) == FLOOR


@pytest.mark.parametrize("name", POLICIES)
def test_each_policy_carries_the_name_it_is_asked_by(name):
    assert POLICIES[name](SINGLE).name == name
