"""A model counts where it was right of late, and nowhere else."""

import numpy as np

from sentinel_core.demand import AHEAD, RING
from sentinel_core.referee import LEAST_BURSTS, LEAST_SECONDS, LEAST_SLOTS, DemandReferee, OnsetReferee, SizeReferee

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
    answer = run(DemandReferee(2), SOON, own, model)
    assert np.array_equal(answer[0], model[0])
    assert np.array_equal(answer[1], own[1])


def test_nobody_hears_a_model_before_it_was_tried():
    own, model = told(TRUTH + 300, TRUTH + 300), told(TRUTH, TRUTH)
    assert np.array_equal(run(DemandReferee(2), int(LEAST_SLOTS), own, model), own)


def test_a_class_that_is_not_measured_judges_nothing():
    own, model = told(TRUTH + 300, TRUTH + 300), told(TRUTH, TRUTH)
    answer = run(DemandReferee(2), SOON, own, model, known=(True, False))
    assert np.array_equal(answer[0], model[0])
    assert np.array_equal(answer[1], own[1])


def test_a_model_that_becomes_worse_is_left():
    referee = DemandReferee(2)
    own, model = told(TRUTH + 100, TRUTH + 100), told(TRUTH, TRUTH)
    run(referee, SOON, own, model)
    assert referee.hears_model.all()
    run(referee, SOON, own, told(TRUTH + 900, TRUTH + 900))
    assert not referee.hears_model.any()


def test_one_slot_that_both_missed_by_far_does_not_decide():
    referee = DemandReferee(2)
    own, model = told(TRUTH, TRUTH), told(TRUTH + 300, TRUTH + 300)
    run(referee, SOON, own, model)
    high = 1_000.0 * TRUTH
    referee.settle(np.full(2, TRUTH), np.ones(2, bool))
    referee.answer(own, told(high / 2, high / 2))
    for slot in range(1, RING):
        referee.settle(np.full(2, high if slot in AHEAD else TRUTH), np.ones(2, bool))
        referee.answer(own, model)
    assert referee.trial.hears_model.all()
    assert not referee.hears_model.any()


def test_only_what_was_said_right_after_a_slot_is_judged():
    """Else an answer of the slot's own end would be held against what came long before it."""
    referee = DemandReferee(2)
    for _ in range(SOON):
        referee.settle(np.full(2, TRUTH), np.ones(2, bool))
        referee.answer(told(TRUTH, TRUTH), told(TRUTH + 300, TRUTH + 300))
        referee.answer(told(TRUTH + 300, TRUTH + 300), told(TRUTH, TRUTH))
    assert not referee.hears_model.any()


def test_what_was_said_before_a_gap_is_not_judged_after_it():
    referee = DemandReferee(2)
    own, model = told(TRUTH, TRUTH), told(TRUTH + 300, TRUTH + 300)
    for _ in range(SOON):
        referee.settle(np.full(2, TRUTH), np.ones(2, bool))
        referee.answer(own, model)
        referee.forget_said()
    assert not referee.trial.settled.any()


def chances(referee, seconds, every, own, model, step_s=1.0):
    """Two classes: in the first a burst begins every so many seconds, in the second none does."""
    per_second = round(1 / step_s)
    for step in range(seconds * per_second):
        began = np.array([step % (every * per_second) == 0, False])
        referee.step(began, np.ones(2, bool))
        second = (step + 1) // per_second
        ahead = np.array([(second + lead) % every == 0 for lead in range(10)])
        perfect = np.stack([np.where(ahead, 0.9, 0.02), np.full(10, 0.02)])
        answer = referee.answer(own(perfect), model(perfect))
    return answer, perfect


def dull(_):
    return np.full((2, 10), 0.3)


def test_chances_are_the_models_where_they_came_true():
    for step_s in (1.0, 0.1):
        answer, perfect = chances(OnsetReferee(2, step_s), 400, 20, dull, lambda known: known, step_s)
        assert np.array_equal(answer, perfect)
        answer, perfect = chances(OnsetReferee(2, step_s), 400, 20, lambda known: known, dull, step_s)
        assert np.array_equal(answer, perfect)


def test_chances_are_the_learners_until_the_model_was_tried():
    answer, _ = chances(OnsetReferee(2, 1.0), int(LEAST_SECONDS) - 5, 20, dull, lambda known: known)
    assert np.array_equal(answer, dull(None))


def test_what_cannot_be_is_no_opinion():
    """The learners say 0 by rule where the model may say anything: neither gains by it."""
    referee = OnsetReferee(1, 1.0)
    for _ in range(400):
        referee.step(np.zeros(1, bool), np.ones(1, bool))
        referee.answer(np.zeros((1, 10)), np.full((1, 10), 0.5))
    assert not referee.trial.settled.any()


def sizes(referee, bursts, own, model):
    """Every burst brings a thousand bytes a step for ten steps of a second."""
    for _ in range(bursts):
        for step in range(20):
            answer = referee.answer(own, model)
            referee.step(np.array([step == 5]), np.array([1_000.0 if 5 <= step < 15 else 0.0]))
    return answer


def test_sizes_are_the_models_where_it_came_nearer():
    near, far = np.array([[9e3, 1e4, 1.1e4]]), np.array([[4e4, 5e4, 6e4]])
    enough = int(LEAST_BURSTS) + 1
    assert np.array_equal(sizes(SizeReferee(1, 1.0), enough, far, near), near)
    assert np.array_equal(sizes(SizeReferee(1, 1.0), enough, near, far), near)
    assert np.array_equal(sizes(SizeReferee(1, 1.0), enough - 2, far, near), far)


def test_a_size_that_the_learners_do_not_know_is_the_models():
    near = np.array([[9e3, 1e4, 1.1e4]])
    assert np.array_equal(sizes(SizeReferee(1, 1.0), 1, np.zeros((1, 3)), near), near)
