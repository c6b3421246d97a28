"""The ring: balanced by capacity, the same for all who know the same members, and hardly moved by a change of them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sentinel_api.errors import Invalid
from sentinel_lb.decide.ring import SLOTS, Member, pairs

FLEETS = st.lists(
    st.builds(Member, st.uuids().map(str), st.just(0), st.integers(1, 8)), min_size=1, max_size=40, unique_by=str
).map(lambda members: [Member(m.name, 7 * i, m.capacity) for i, m in enumerate(members)])


def fleet(count, prefix="node"):
    return [Member(f"{prefix}-{i}", i) for i in range(count)]


def without(members, number):
    return [member for member in members if member.number != number]


@settings(max_examples=15)
@given(FLEETS)
def test_every_slot_names_two_members_that_differ_where_there_are_two(members):
    ring = pairs(members)
    assert ring.shape == (SLOTS, 2)
    assert set(np.unique(ring)) <= {member.number for member in members}
    if len(members) > 1:
        assert (ring[:, 0] != ring[:, 1]).all()


@settings(max_examples=15)
@given(FLEETS)
def test_first_candidates_are_shared_by_capacity_to_the_slot(members):
    counts = np.bincount(pairs(members)[:, 0], minlength=7 * len(members))
    total = sum(member.capacity for member in members)
    for member in members:
        assert abs(counts[member.number] - SLOTS * member.capacity / total) <= member.capacity + 1


@settings(max_examples=10)
@given(FLEETS, st.randoms(use_true_random=False))
def test_the_order_of_the_members_does_not_matter(members, chance):
    mixed = list(members)
    chance.shuffle(mixed)
    assert (pairs(mixed) == pairs(members)).all()


def test_a_number_is_a_label_and_moves_nothing():
    renumbered = [Member(member.name, 500 - member.number) for member in fleet(20)]
    assert (pairs(renumbered) == 500 - pairs(fleet(20))).all()


@pytest.mark.parametrize("prefix", ["node", "edge", "ip-10-0"])
@pytest.mark.parametrize("gone", [0, 41, 99])
def test_one_of_a_hundred_removed_moves_at_most_two_percent_of_the_unrelated(prefix, gone):
    """Adding it again is the same difference, seen from the other side."""
    before = pairs(fleet(100, prefix))[:, 0]
    after = pairs(without(fleet(100, prefix), gone))[:, 0]
    unrelated = before != gone
    assert (before[unrelated] != after[unrelated]).mean() <= 0.02


def test_second_candidates_are_moved_as_little():
    before, after = pairs(fleet(100)), pairs(without(fleet(100), 41))
    unrelated = (before != 41).all(axis=1)
    assert (before[unrelated] != after[unrelated]).any(axis=1).mean() <= 0.05


def test_second_candidates_are_shared_evenly_too():
    counts = np.bincount(pairs(fleet(100))[:, 1], minlength=100)
    assert counts.min() > 0.7 * SLOTS / 100
    assert counts.max() < 1.3 * SLOTS / 100


def test_the_seconds_of_one_first_are_spread_over_all_others():
    """Or the room of a few would decide for a whole backend."""
    ring = pairs(fleet(20))
    for number in range(20):
        assert len(set(ring[ring[:, 0] == number, 1])) == 19


def test_a_thousand_backends_fit():
    counts = np.bincount(pairs(fleet(1000))[:, 0], minlength=1000)
    assert set(counts) == {65, 66}


@pytest.mark.parametrize(
    ("members", "sentence"),
    [
        pytest.param([], "between 1 and", id="nobody"),
        pytest.param([Member("a", 1), Member("a", 2)], "same name", id="one name twice"),
        pytest.param([Member("a", 1, 0)], "capacity of at least 1", id="no capacity"),
        pytest.param([Member("a", 65536)], "number up to", id="a number too large for the kernel"),
    ],
)
def test_what_makes_no_ring_is_refused(members, sentence):
    with pytest.raises(Invalid, match=sentence):
        pairs(members)
