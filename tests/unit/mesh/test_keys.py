"""Keys of the mesh: what we write we read, and what we would not write is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel_api.errors import Invalid
from sentinel_mesh.keys import Keys, Token, node_of, token_of

NAMES = st.from_regex(r"[A-Za-z0-9._-]{1,60}", fullmatch=True)


@given(NAMES, NAMES, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_whoever_wrote_a_key_can_be_read_from_it(cluster, node, incarnation, generation):
    keys = Keys(cluster)
    assert node_of(keys.state(node)) == node
    assert token_of(keys.token(node, incarnation, generation)) == Token(node, incarnation, generation)


@pytest.mark.parametrize("name", ["", "a/b", "a*", "*", "a b", "ä", "n" * 254, "n\n"])
def test_a_name_that_would_reach_beyond_its_own_key_is_refused(name):
    with pytest.raises(Invalid, match="is no"):
        Keys("c").state(name)
    with pytest.raises(Invalid, match="is no"):
        Keys(name)


@given(st.text(max_size=80))
def test_any_key_is_read_or_refused(key):
    for read in (node_of, token_of):
        try:
            read(key)
        except Invalid:
            continue


@pytest.mark.parametrize("number", ["", "-1", "4294967296", "9" * 5000, "²", "1e3"])
def test_an_incarnation_is_a_number_of_32_bits(number):
    with pytest.raises(Invalid, match="incarnation"):
        token_of(f"sentinel/c/n/alive/{number}/0")
    with pytest.raises(Invalid, match="generation"):
        token_of(f"sentinel/c/n/alive/0/{number}")


def test_a_zone_is_a_space_of_its_own_and_its_sum_lies_in_the_clusters():
    inside, cluster = Keys("c", "east"), Keys("c")
    assert not inside.state("n1").startswith(cluster.space + "/")
    assert inside.every_digest == cluster.every_digest
    assert inside.digest().startswith(cluster.space + "/")
    assert node_of(inside.digest()) == "east"
    with pytest.raises(Invalid, match="is no zone"):
        cluster.digest()
    with pytest.raises(Invalid, match="is no zone"):
        Keys("c", "a/b")


def test_who_listens_wide_hears_every_zone_and_no_other_cluster():
    wide = Keys("c", "east", wide=True)
    assert wide.space == Keys("c", "east").space, "what it says itself lies in its own"
    for heard in (wide.every_state, wide.every_beat, wide.every_alarm, wide.every_share, wide.every_token):
        assert heard.startswith("sentinel/c.$*/")
    assert wide.every_digest == Keys("c").every_digest
