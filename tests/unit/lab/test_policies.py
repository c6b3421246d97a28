"""The rivals must be strong: a weak reactive rule would flatter every other one."""

import pytest

from sentinel_api.errors import Invalid
from sentinel_lab import seasoning
from sentinel_lab.policies import NAMES, NEEDS_TRUTH, POLICIES, Burst, Seen, Truth, made
from sentinel_lab.policies.sharing import shared
from sentinel_lab.policies.simple import DynamicThreshold, Reactive
from sentinel_lab.scenario import MIXED, SINGLE

FLOOR, POOL = SINGLE.floor_bytes, SINGLE.shared_bytes
SECOND_NS = 1_000_000_000
TRUTH = Truth(start_ns=0, bursts={1: (Burst(start_s=4.0, end_s=6.0, surplus_bytes=4_000_000),)})


def seen(now_s=0.0, backlog=0, limit=FLOOR, arrived=0, drained=0, drops=0) -> Seen:
    return Seen(int(now_s * SECOND_NS), 0.1, backlog, limit, arrived, drained, drops, arrived // 1000)


def node(scenario=SINGLE, **classes) -> dict[int, Seen]:
    """Every class of the scenario, calm unless something is said of it."""
    now = max((each.now_ns for each in classes.values()), default=0) / SECOND_NS
    limits = scenario.start_limits()
    return {each.id: classes.get(each.name, seen(now_s=now, limit=limits[each.id])) for each in scenario.classes}


@pytest.fixture
def limit():
    rule = Reactive("reactive-100ms", 0.1, SINGLE)
    return lambda mine: rule.limits(node(bursty=mine))[1]


def test_it_makes_room_for_the_backlog_and_two_more_periods_of_its_growth(limit):
    assert limit(seen(backlog=100_000, arrived=300_000, drained=100_000)) == FLOOR + 100_000 + 400_000


def test_a_drop_doubles_the_limit_even_when_the_slope_says_less(limit):
    assert limit(seen(limit=1_000_000, drops=1)) == 2_000_000


def test_it_keeps_what_it_has_while_it_needs_half_of_it(limit):
    for step in range(100):
        assert limit(seen(now_s=step / 10, backlog=400_000, limit=800_000)) == 800_000


def test_it_gives_back_after_a_second_of_calm_and_not_before(limit):
    limit(seen(now_s=10, backlog=800_000, limit=800_000))
    assert limit(seen(now_s=10.9, limit=900_000)) == 900_000
    assert limit(seen(now_s=11.0, limit=900_000)) == FLOOR


def test_it_stays_between_the_floor_and_the_pool(limit):
    assert limit(seen(backlog=50_000_000)) == 50_000_000, "what is queued already costs nothing more"
    assert limit(seen(limit=POOL, drops=1, now_s=1)) == POOL
    assert limit(seen(now_s=5)) == FLOOR


def test_classes_that_share_a_pool_are_served_by_priority_and_queued_bytes_cannot_be_given_away():
    wants = {1: 10_000_000, 3: 10_000_000}
    calm = shared(MIXED, wants, node(MIXED))
    assert calm[3] == MIXED.named("bulk").floor_bytes
    assert sum(calm.values()) == MIXED.shared_bytes
    standing = node(MIXED, bulk=seen(backlog=3_000_000, limit=3_000_000))
    assert shared(MIXED, wants, standing)[1] == MIXED.shared_bytes - 3_000_000


def test_a_dynamic_threshold_leaves_a_greedy_queue_half_of_the_memory():
    rule = DynamicThreshold("dynamic-threshold", MIXED)
    half = MIXED.shared_bytes // 2
    assert rule.limits(node(MIXED, bulk=seen(backlog=half)))[3] == pytest.approx(half, abs=1)


@pytest.mark.parametrize("name", NAMES)
def test_each_policy_carries_the_name_it_is_asked_by_and_answers_for_every_resizable_class(name):
    for scenario in (SINGLE, MIXED):
        policy = made(name, scenario, TRUTH)
        assert policy.name == name
        assert set(policy.limits(node(scenario))) == {each.id for each in scenario.resizable}


@pytest.mark.parametrize("name", NAMES)
def test_no_policy_makes_room_beyond_the_pool_in_calm(name):
    policy = made(name, MIXED, TRUTH)
    limits = policy.limits(node(MIXED))
    within = 2 if name == "dynamic-threshold" else 1  # its queues fill one at a time: each may have what is free
    assert sum(limits.values()) <= within * MIXED.pool_bytes


def test_what_needs_the_truth_says_so_and_nobody_else_does():
    for name in NAMES:
        if name in NEEDS_TRUTH:
            with pytest.raises(Invalid, match=name):
                made(name, SINGLE)
        else:
            made(name, SINGLE)
    assert set(NAMES) == {*POLICIES, *NEEDS_TRUTH}


def test_an_unknown_policy_is_refused_with_the_known_ones():
    with pytest.raises(Invalid, match="static-small"):
        made("clairvoyant", SINGLE)


def test_the_past_joins_on_to_the_run_and_ends_with_it():
    lives = [seasoning.life(each, "periodic", 10.0, 3, 20.0) for each in SINGLE.classes]
    past = list(seasoning.samples(SINGLE, lives, start_ns=0))
    assert len(past) == 200
    assert past[-1].t_ns == 0
    assert int(sum(sample.packets[1] for sample in past)) == lives[0].past.times_s.size
    bursts = seasoning.truth(SINGLE, lives, 0).bursts[1]
    assert [each.start_s for each in bursts] == [-16.0, -6.0, 4.0]
    assert {each.surplus_bytes for each in bursts} == {4_840_000}
