"""The merge of conditions keeps "since when" honest."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from sentinel_api.v1alpha1.conditions import Condition, merge

EARLY = datetime(2030, 1, 1, tzinfo=UTC)
LATE = EARLY + timedelta(hours=1)


def condition(kind="Ready", status="True", reason="Working", at=EARLY, message=""):
    return Condition(type=kind, status=status, reason=reason, message=message, last_transition_time=at)


def test_an_unchanged_status_keeps_its_time_and_takes_the_new_reason():
    (merged,) = merge([condition()], [condition(reason="Better", message="all is well", at=LATE)])
    assert merged == condition(reason="Better", message="all is well", at=EARLY)


def test_a_changed_status_takes_the_new_time():
    assert merge([condition()], [condition(status="False", at=LATE)]) == (condition(status="False", at=LATE),)


def test_conditions_that_nobody_speaks_of_stay():
    assert merge([condition("A"), condition("B")], [condition("B", "False", at=LATE)]) == (
        condition("A"),
        condition("B", "False", at=LATE),
    )


LISTS = st.lists(
    st.builds(
        condition,
        st.sampled_from("ABCD"),
        st.sampled_from(["True", "False", "Unknown"]),
        at=st.sampled_from([EARLY, LATE]),
    ),
    max_size=6,
    unique_by=lambda made: made.type,
)


@given(LISTS, LISTS)
def test_there_is_one_of_each_type_and_merging_again_changes_nothing(old, new):
    merged = merge(old, new)
    assert [made.type for made in merged] == sorted({made.type for made in (*old, *new)})
    assert merge(merged, new) == merged
