"""Water-filling: fair, whole, and blind to the order of the classes."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from sentinel_core.filling import fill

WANTS = arrays.arrays(np.int64, 16, elements=st.one_of(st.integers(0, 50), st.integers(0, 2**40)))
LEVELS = arrays.arrays(np.int64, 16, elements=st.integers(0, 7))
WEIGHTS = arrays.arrays(np.int64, 16, elements=st.integers(1, 1000))
BUDGETS = st.one_of(st.integers(0, 400), st.integers(0, 2**40))


def of(*values):
    return np.array(values, np.int64)


@given(BUDGETS, WANTS, LEVELS, WEIGHTS)
def test_nobody_gets_more_than_it_wants_and_all_together_no_more_than_there_is(budget, wants, priority, weight):
    grants = fill(budget, wants, priority, weight)
    assert (grants >= 0).all()
    assert (grants <= wants).all()
    assert grants.sum() <= budget


@given(BUDGETS, WANTS, LEVELS, WEIGHTS)
def test_nothing_worth_mentioning_is_left_while_somebody_wants_it(budget, wants, priority, weight):
    grants = fill(budget, wants, priority, weight)
    assert grants.sum() >= min(budget, wants.sum()) - 16


@given(BUDGETS, WANTS, LEVELS, WEIGHTS)
def test_who_goes_after_an_unsated_one_gets_nothing(budget, wants, priority, weight):
    grants = fill(budget, wants, priority, weight)
    unsated = priority[grants < wants]
    if len(unsated):
        assert (grants[priority > unsated.min()] == 0).all()


@given(BUDGETS, WANTS, LEVELS, WEIGHTS, st.permutations(range(16)))
def test_the_order_of_classes_is_irrelevant(budget, wants, priority, weight, order):
    moved = fill(budget, wants[order], priority[order], weight[order])
    assert (moved == fill(budget, wants, priority, weight)[order]).all()


@given(BUDGETS, WANTS, LEVELS, WEIGHTS, st.integers(0, 15), st.integers(0, 2**40))
def test_who_wants_more_never_gets_less(budget, wants, priority, weight, index, more):
    greedy = wants.copy()
    greedy[index] = min(greedy[index] + more, 2**40)
    before, after = fill(budget, wants, priority, weight), fill(budget, greedy, priority, weight)
    assert after[index] >= before[index]
    assert (np.delete(after, index) <= np.delete(before, index)).all()


def test_equals_share_by_weight_and_what_one_leaves_goes_to_the_others():
    assert fill(600, of(1000, 1000), of(0, 0), of(1, 2)).tolist() == [200, 400]
    assert fill(600, of(100, 1000), of(0, 0), of(1, 2)).tolist() == [100, 500]
