"""Who dials whom: one end of each pair where all know the same list, and everybody named where they do not."""

from itertools import combinations

import pytest

from sentinel_api.errors import Invalid
from sentinel_mesh.place import Place

ALL = tuple(f"tcp/10.0.0.{number}:7447" for number in range(1, 12))


def place(listen, peers):
    return Place("c", "n", 1, (listen,), peers)


def test_of_one_list_exactly_one_end_of_each_pair_dials():
    dialled = {own: set(place(own, ALL).dialled) for own in ALL}
    for one, two in combinations(ALL, 2):
        assert (two in dialled[one]) + (one in dialled[two]) == 1
        assert one not in dialled[one]


def test_whoever_is_not_on_its_list_dials_all_of_it():
    assert place("tcp/10.0.0.99:7447", ALL[:2]).dialled == ALL[:2]


@pytest.mark.parametrize("endpoint", ["", "udp/10.0.0.1:7447", "tcp/10.0.0.1", "tcp/10.0.0.1:0", "tcp/10.0.0.1:70000"])
def test_an_endpoint_that_is_none_is_refused_with_a_sentence(endpoint):
    with pytest.raises(Invalid, match="write tcp/ADDRESS:PORT"):
        place(endpoint, ())
