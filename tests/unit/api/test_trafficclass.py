"""Traffic classes: profiles fill in what is left out, and kernel ids stay with the names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel_api.errors import Invalid
from sentinel_api.v1alpha1.profiles import PROFILES
from sentinel_api.v1alpha1.trafficclass import Match, TrafficClass, class_ids

NAMES = st.lists(st.sampled_from([f"c{i}" for i in range(25)]), max_size=15, unique=True)


def test_a_class_has_its_own_values_and_else_its_profiles():
    base = PROFILES["llm"]
    made = TrafficClass(name="chat", profile="llm", match=(Match(port=1),), priority=0, max_delay_millis=7)
    assert (made.resolved.priority, made.resolved.max_delay_millis) == (0, 7)
    assert (made.resolved.weight, made.resolved.floor_bytes) == (base.weight, base.floor_bytes)


@pytest.mark.parametrize("name", PROFILES)
def test_a_profile_alone_makes_a_valid_class(name):
    TrafficClass(name="a", profile=name, match=(Match(dscp=1),))


@given(NAMES, NAMES)
def test_names_that_stay_keep_their_ids_and_no_id_is_given_twice(before, after):
    old = class_ids(before, {})
    new = class_ids(after, old)
    assert list(new) == after
    assert all(new[name] == old[name] for name in set(before) & set(after))
    assert len(set(new.values())) == len(new)
    assert set(new.values()) <= set(range(1, 16))


def test_an_id_rests_before_another_class_gets_it():
    assert class_ids(["b"], {"a": 1}) == {"b": 2}


def test_an_id_is_given_again_when_nothing_else_is_free():
    before = class_ids([f"c{i}" for i in range(15)], {})
    after = class_ids(["new", *(f"c{i}" for i in range(14))], before)
    assert after["new"] == before["c14"]


def test_more_classes_than_the_kernel_has_are_refused():
    with pytest.raises(Invalid, match="leave at most 15"):
        class_ids([f"c{i}" for i in range(16)], {})
