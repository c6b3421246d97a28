"""Rival wishes: the knob decides, and who spoke first never matters."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel_api.errors import Invalid
from sentinel_core.wishes import Knob, Meet, Wish, settle

RATE = Knob("rate", "bytes/s", Meet.LOWEST, 1_000, 1_000_000)
MARK = Knob("mark", "permille", Meet.HIGHEST, 0, 1_000)
WISHES = st.lists(
    st.builds(
        Wish,
        knob=st.sampled_from([RATE, MARK]),
        value=st.integers(-10, 2_000_000),
        feature=st.sampled_from(["pacing", "fairness", "drain"]),
        why=st.sampled_from(["busy", "calm"]),
        subject=st.sampled_from(["", "llm", "cache"]),
    ),
    max_size=12,
)


@given(WISHES, st.randoms(use_true_random=False))
def test_the_order_of_wishes_is_irrelevant(wishes, random):
    shuffled = list(wishes)
    random.shuffle(shuffled)
    assert settle(shuffled) == settle(wishes)


@given(WISHES)
def test_every_wished_knob_is_settled_once_within_its_bounds_and_no_wish_is_lost(wishes):
    settled = settle(wishes)
    assert set(settled) == {(wish.knob.name, wish.subject) for wish in wishes}
    for outcome in settled.values():
        knob = outcome.wish.knob
        values = [knob.bounded(wish.value) for wish in (outcome.wish, *outcome.rivals)]
        assert outcome.value == (min(values) if knob.meet is Meet.LOWEST else max(values))
    assert sum(1 + len(outcome.rivals) for outcome in settled.values()) == len(wishes)


def test_the_reason_is_that_of_the_prevailing_wish():
    slow = Wish(RATE, 5_000, "pacing", "the peer asked for it")
    fast = Wish(RATE, 9_000, "fairness", "its fair share")
    assert settle([fast, slow])["rate", ""].wish is slow


def test_one_more_wish_never_makes_the_outcome_less_safe():
    alone = settle([Wish(MARK, 100, "pacing", "busy")])["mark", ""]
    joined = settle([Wish(MARK, 100, "pacing", "busy"), Wish(MARK, 5, "drain", "calm")])["mark", ""]
    assert joined.value == alone.value


def test_two_definitions_of_one_knob_are_a_fault():
    other = Knob("rate", "bytes/s", Meet.HIGHEST, 0, 1)
    with pytest.raises(Invalid, match="define it once"):
        settle([Wish(RATE, 1, "a", "x"), Wish(other, 1, "b", "x")])


def test_a_knob_without_room_to_turn_is_a_fault():
    with pytest.raises(Invalid, match="above its highest"):
        Knob("rate", "", Meet.LOWEST, 2, 1)
