"""Whether a service answers: by the last answer, until too many questions had none."""

from sentinel_lb.decide.checkup import SILENT_AFTER, Checked, Health


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
