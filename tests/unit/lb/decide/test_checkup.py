"""Whether a service answers: by the last answer, until too many questions had none."""

import pytest

from sentinel_lb.decide.checkup import NOBODY, SILENT_AFTER, Checked, Health, avoided, best


def asked(checked, times):
    for _ in range(times):
        checked = checked.asked()
    return checked


def test_nothing_is_said_of_a_service_before_it_had_its_time():
    assert asked(Checked(), SILENT_AFTER).health is Health.UNKNOWN
    assert asked(Checked(), SILENT_AFTER + 1).health is Health.SILENT


def test_an_answer_counts_until_as_many_questions_had_none():
    checked = asked(Checked(), 10).answered(refused=False)
    assert asked(checked, SILENT_AFTER).health is Health.ANSWERS
    assert asked(checked, SILENT_AFTER + 1).health is Health.SILENT


def test_a_refusal_is_an_answer_of_its_own_kind():
    assert Checked().asked().answered(refused=True).health is Health.REFUSES


GOOD = Checked(Health.ANSWERS, answers=SILENT_AFTER)
SILENT = Checked(Health.SILENT, unanswered=SILENT_AFTER + 1, failures=SILENT_AFTER)
REFUSES = Checked(Health.REFUSES, failures=SILENT_AFTER)


def test_who_fails_is_avoided_while_the_service_answers_behind_others():
    assert avoided(NOBODY, {1: GOOD, 2: SILENT, 3: REFUSES, 4: GOOD}) == {2, 3}


def test_what_fails_behind_most_is_the_service_itself_and_begins_to_avoid_nobody():
    found = {1: GOOD, 2: SILENT, 3: SILENT}
    assert avoided(NOBODY, found) == NOBODY
    assert avoided(frozenset({2}), found) == {2}, "who is avoided stays so"


def test_what_fails_now_here_and_now_there_begins_to_avoid_nobody():
    """One of its pods hangs, or is overloaded: whom it fails behind is chance."""
    once = Checked(Health.ANSWERS, answers=1)
    assert avoided(NOBODY, {1: SILENT, 2: GOOD, 3: once, 4: once}) == NOBODY
    assert avoided(frozenset({1}), {1: SILENT, 2: GOOD, 3: once, 4: once}) == {1}
    assert avoided(NOBODY, {1: SILENT, 2: GOOD, 3: GOOD, 4: GOOD, 5: once}) == {1}


def test_after_an_outage_the_first_to_answer_does_not_get_all_clients():
    back = Checked(Health.ANSWERS, answers=1)
    assert avoided(NOBODY, {1: back, 2: SILENT}) == NOBODY


@pytest.mark.parametrize("others", [SILENT, REFUSES, Checked()])
def test_where_it_answers_behind_nobody_nobody_is_avoided(others):
    assert avoided(NOBODY, {1: SILENT, 2: others}) == NOBODY
    assert avoided(frozenset({1}), {1: SILENT, 2: others}) == NOBODY


def test_a_question_or_two_without_an_answer_change_nothing():
    lossy = asked(GOOD, SILENT_AFTER)
    assert avoided(NOBODY, {1: GOOD, 2: lossy}) == NOBODY
    assert avoided(NOBODY, {1: GOOD, 2: asked(lossy, 1)}) == {2}


def test_a_node_behind_which_it_never_answered_gets_no_new_clients_after_the_first_question():
    assert avoided(NOBODY, {1: GOOD, 2: asked(Checked(), 1)}) == NOBODY, "the answer may be on its way"
    assert avoided(NOBODY, {1: GOOD, 2: asked(Checked(), 2)}) == {2}


def test_a_refusal_or_two_change_nothing_as_where_one_of_many_pods_starts_again():
    found = GOOD
    for _ in range(SILENT_AFTER):
        assert avoided(NOBODY, {1: GOOD, 2: found}) == NOBODY
        found = found.asked().answered(refused=True)
    assert avoided(NOBODY, {1: GOOD, 2: found}) == {2}


def test_who_was_avoided_is_trusted_after_as_many_answers_in_a_row():
    back, before = SILENT, frozenset({2})
    for _ in range(SILENT_AFTER):
        assert avoided(before, {1: GOOD, 2: back}) == before
        back = back.asked().answered(refused=False)
    assert avoided(before, {1: GOOD, 2: back}) == NOBODY


def test_a_question_without_an_answer_begins_the_row_anew():
    lossy = asked(asked(SILENT, 1).answered(refused=False), 2).answered(refused=False)
    assert (lossy.answers, lossy.failures) == (1, 0)


def test_a_service_is_as_well_as_behind_the_best_of_its_nodes():
    assert best([SILENT, GOOD, REFUSES]) is Health.ANSWERS
    assert best([SILENT, REFUSES]) is Health.REFUSES
    assert best([SILENT, Checked()]) is Health.UNKNOWN
    assert best([]) is Health.UNKNOWN
