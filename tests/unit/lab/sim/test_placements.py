"""Where new flows go: each rule by itself, over the product's own ring."""

from collections import Counter

import numpy as np
import pytest

from sentinel_lab.bench.placement import NODES, OURS, SCENARIOS, compared, interval, local_load, outcome, traffic
from sentinel_lab.sim.cluster import Heard
from sentinel_lab.sim.placements import POLICIES, Several, ring_of, slots_of

RING = ring_of(NODES)
KEYS = np.arange(4000, dtype=np.uint64) * np.uint64(0x1234567)


def heard(room=None, backlog=None, flows=None) -> Heard:
    nothing = np.zeros(NODES)
    return Heard(
        nothing if room is None else np.array(room, float),
        nothing if backlog is None else np.array(backlog, float),
        np.zeros(NODES, np.int64) if flows is None else np.array(flows),
        np.ones(NODES, np.bool_),
    )


def places(policy, told):
    return POLICIES[policy](RING, NODES, 1).place(KEYS, told)


def test_by_readiness_flows_are_drawn_by_the_square_of_room_and_the_rest_stay_with_the_ring():
    room = np.where(np.arange(NODES) % 2, 2000.0, 1000.0)
    first, second = RING[slots_of(KEYS)].T
    went = places("readiness", heard(room))
    roomier = room[second] > room[first]
    assert (went == first)[~roomier].all()
    assert abs((went == second)[roomier].mean() - 0.6) < 0.05
    room[::2] = 0
    assert (places("readiness", heard(room)) % 2 == 1)[(first + second) % 2 == 1].all(), "who has none gets none"


def test_balancers_that_hear_the_same_place_as_one_and_one_that_hears_later_draws_by_what_it_heard():
    rooms = [np.roll(np.where(np.arange(NODES) % 2, 2000.0, 1000.0), turn) for turn in (0, 1)]
    both = Several(RING, 2)
    assert (both.place(KEYS, heard(rooms[0])) == places("readiness", heard(rooms[0]))).all()
    later = both.place(KEYS, heard(rooms[1]))
    first = (KEYS >> np.uint64(5)) % np.uint64(2) == 0
    assert (later[first] == places("readiness", heard(rooms[1]))[first]).all()
    assert (later[~first] == places("readiness", heard(rooms[0]))[~first]).all()
    assert (places("readiness", heard(rooms[0])) != places("readiness", heard(rooms[1]))).any()


@pytest.mark.parametrize("scenario", ["skewed", "moving_bursts"])
def test_balancers_beside_each_other_drop_far_less_than_the_ring_alone(scenario):
    """The later hears of rooms a tick after the other: together they do not herd."""
    one, two, ring = (outcome(SCENARIOS[scenario], each, 1, 10.0)[0] for each in (OURS, "readiness_of_two", "maglev"))
    assert two - one < (ring - one) / 5


def test_by_readiness_without_room_the_less_loaded_wins_and_equals_stay_with_the_ring():
    backlog = np.arange(NODES) + 1.0
    assert (places("readiness", heard(backlog=backlog)) == RING[slots_of(KEYS)].min(axis=1)).all()
    assert (places("readiness", heard()) == places("maglev", heard(np.arange(NODES)))).all()


def test_in_turn_everybody_gets_as_many():
    assert set(Counter(places("round_robin", heard()).tolist()).values()) == {len(KEYS) // NODES}


def test_fewest_connections_fills_the_valley_first():
    flows = [1000] * (NODES - 1) + [0]
    assert set(places("least_connections", heard(flows=flows))[:1000].tolist()) == {NODES - 1}


def test_of_two_by_chance_nobody_takes_who_has_more():
    flows = [0] * (NODES - 1) + [10**6]
    assert Counter(places("two_random", heard(flows=flows)).tolist())[NODES - 1] < len(KEYS) / NODES**2 * 2


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_policy_meets_the_same_traffic(name):
    one, again = (traffic(SCENARIOS[name], 3, 5.0) for _ in range(2))
    assert (one.key == again.key).all()
    assert (local_load(SCENARIOS[name], 3, 50) == local_load(SCENARIOS[name], 3, 50)).all()


def test_where_rooms_differ_looking_for_room_drops_less_than_every_other():
    found = {policy: [outcome(SCENARIOS["skewed"], policy, seed, 15.0) for seed in range(3)] for policy in POLICIES}
    rows = {row["policy"]: row for row in compared("skewed", found)}
    for policy in POLICIES.keys() - {OURS}:
        assert rows[policy]["more_than_ours_points_95"][0] > 0


def test_an_interval_holds_the_mean():
    low, high = interval(np.array([1.0, 2.0, 3.0, 4.0]))
    assert 1.0 <= low < 2.5 < high <= 4.0
