"""A name stands for all its addresses, an address for itself."""

import pytest

from sentinel_mesh.directory import addresses_of, named, resolved
from sentinel_mesh.place import Place

BOOK = {"mesh.ns.svc": ("10.0.0.1", "10.0.0.2", "fd00::3"), "empty.ns.svc": ()}


def test_a_name_becomes_all_its_addresses_and_an_address_stays():
    peers = ("tcp/10.0.0.2:7447", "tls/mesh.ns.svc:7447", "tcp/[fd00::9]:1", "tcp/empty.ns.svc:7447")
    assert resolved(peers, BOOK.__getitem__) == (
        "tcp/10.0.0.2:7447",
        "tls/10.0.0.1:7447",
        "tls/10.0.0.2:7447",
        "tls/[fd00::3]:7447",
        "tcp/[fd00::9]:1",
    )


@pytest.mark.parametrize(
    ("peers", "has_name"),
    [((), False), (("tcp/10.0.0.1:1", "tcp/[::1]:1"), False), (("tcp/10.0.0.1:1", "tcp/mesh.ns.svc:1"), True)],
)
def test_names_are_told_from_addresses(peers, has_name):
    assert named(peers) is has_name


def test_behind_one_name_everybody_finds_himself_so_one_end_of_a_pair_dials():
    peers = resolved(("tcp/mesh.ns.svc:7447",), BOOK.__getitem__)
    first, second = (Place("c", "n", 1, (peers[number],), peers) for number in (0, 1))
    assert first.dialled == ()
    assert second.dialled == peers[:1]


def test_a_name_that_nobody_knows_has_no_address():
    assert addresses_of("nobody.invalid") == ()


def test_this_machine_has_an_address():
    assert addresses_of("127.0.0.1") == ("127.0.0.1",)
