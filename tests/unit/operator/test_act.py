"""The merge patch of a status: applied to the old one it gives the new one."""

from hypothesis import given
from hypothesis import strategies as st

from sentinel_operator.act import difference

VALUES = st.recursive(
    st.integers() | st.text(max_size=3) | st.lists(st.integers(), max_size=3),
    lambda inner: st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from("abcd"), VALUES, max_size=4)


def merged(old, patch):
    """RFC 7396."""
    if not isinstance(patch, dict):
        return patch
    result = dict(old) if isinstance(old, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


@given(old=OBJECTS, new=OBJECTS)
def test_the_patch_makes_the_new_of_the_old(old, new):
    assert merged(old, difference(old, new)) == new


@given(OBJECTS)
def test_nothing_changed_is_an_empty_patch(value):
    assert difference(value, value) == {}
