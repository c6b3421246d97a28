"""A model's demand counts where it was right of late, and nowhere else."""

import numpy as np

from sentinel_core.demand import AHEAD, RING
from sentinel_core.referee import LEAST_SLOTS, Referee

TRUTH = 1_000.0
SOON = int(LEAST_SLOTS) + RING


def told(*values):
    """The same quantile triple at every horizon, for each series."""
    around = np.array(values)[:, None, None] + np.array([-50.0, 0.0, 50.0])
    return np.broadcast_to(around, (len(values), len(AHEAD), 3)).copy()


def run(referee, slots, own, model, known=(True, True)):
    for _ in range(slots):
        referee.settle(np.full(2, TRUTH), np.array(known))
        answer = referee.answer(own, model)
    return answer


def test_the_better_one_is_heard_class_by_class():
    own, model = told(TRUTH + 300, TRUTH), told(TRUTH, TRUTH + 300)
    answer = run(Referee(2), SOON, own, model)
    assert np.array_equal(answer[0], model[0])
    assert np.array_equal(answer[1], own[1])


def test_nobody_hears_a_model_before_it_was_tried():
    own, model = told(TRUTH + 300, TRUTH + 300), told(TRUTH, TRUTH)
    assert np.array_equal(run(Referee(2), int(LEAST_SLOTS), own, model), own)


def test_a_class_that_is_not_measured_judges_nothing():
    own, model = told(TRUTH + 300, TRUTH + 300), told(TRUTH, TRUTH)
    answer = run(Referee(2), SOON, own, model, known=(True, False))
    assert np.array_equal(answer[0], model[0])
    assert np.array_equal(answer[1], own[1])


def test_a_model_that_becomes_worse_is_left():
    referee = Referee(2)
    own, model = told(TRUTH + 100, TRUTH + 100), told(TRUTH, TRUTH)
    run(referee, SOON, own, model)
    assert referee.hears_model.all()
    run(referee, SOON, own, told(TRUTH + 900, TRUTH + 900))
    assert not referee.hears_model.any()


def test_only_what_was_said_right_after_a_slot_is_judged():
    """Else an answer of the slot's own end would be held against what came long before it."""
    referee = Referee(2)
    for _ in range(SOON):
        referee.settle(np.full(2, TRUTH), np.ones(2, bool))
        referee.answer(told(TRUTH, TRUTH), told(TRUTH + 300, TRUTH + 300))
        referee.answer(told(TRUTH + 300, TRUTH + 300), told(TRUTH, TRUTH))
    assert not referee.hears_model.any()


def test_what_was_said_before_a_gap_is_not_judged_after_it():
    referee = Referee(2)
    own, model = told(TRUTH, TRUTH), told(TRUTH + 300, TRUTH + 300)
    for _ in range(SOON):
        referee.settle(np.full(2, TRUTH), np.ones(2, bool))
        referee.answer(own, model)
        referee.forget_said()
    assert not referee._settled.any()
