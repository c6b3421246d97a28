"""What drawing flows by room brings each node: the same as counting the slots of a ring one by one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel_lb.decide.draw import FEW, Offers, part_of_second, shares
from sentinel_lb.decide.ring import Member, pairs

ROOMS = st.integers(0, 2**47)


def offers(count, capacity=None):
    random = np.random.default_rng(count)
    says = random.random(count) < 0.8
    return Offers(
        capacity=np.ones(count) if capacity is None else capacity,
        room=np.where(says, random.integers(0, 6, count) * 1000.0, 0.0),
        says=says,
        load=random.integers(0, 3, count).astype(float),
    )


def counted(told):
    """Slot by slot, each pair by the rules that the kernel's reference follows."""
    ring = pairs([Member(f"n{n}", n, int(capacity)) for n, capacity in enumerate(told.capacity)])
    first, second = ring.T.astype(int)
    part = part_of_second(told.room[first], told.room[second])
    neither = told.says[first] & told.says[second] & (np.maximum(told.room[first], told.room[second]) == 0)
    part[neither] = (told.load[second] < told.load[first])[neither]
    one_says = told.says[first] != told.says[second]
    part[one_says] = np.where(told.says[second], told.room[second] > 0, told.room[first] == 0)[one_says]
    went = np.concatenate([first, second])
    return np.bincount(went, np.concatenate([1 - part, part]), len(told.room)) / len(ring)


@pytest.mark.parametrize("count", [2, 3, 16])
@pytest.mark.parametrize("capacity", [1, 4])
def test_shares_are_what_the_slots_of_a_ring_bring(count, capacity):
    told = offers(count, np.resize([1.0, capacity], count))
    assert shares(told) == pytest.approx(counted(told), abs=0.03)


def test_for_many_nodes_a_few_stand_for_all():
    told = offers(4 * FEW)
    assert shares(told) == pytest.approx(counted(told), abs=0.002)
    assert shares(told).sum() == pytest.approx(1.0)


def test_one_node_gets_everything_and_none_nothing():
    assert shares(offers(1)).tolist() == [1.0]
    assert shares(offers(0)).tolist() == []


@given(ROOMS, ROOMS)
def test_over_both_orders_each_gets_as_the_square_of_its_room(one, other):
    there, back = (
        float(part_of_second(np.array([float(a)]), np.array([float(b)]))[0]) for a, b in ((one, other), (other, one))
    )
    assert min(there, back) == 0.0, "the ring gives up no flow that it would get back"
    if one or other:
        assert (there + 1 - back) / 2 == pytest.approx(other**2 / (one**2 + other**2))
