"""Who dials whom: one end of each pair where all know the same list, and everybody named where they do not."""

from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel_api.errors import Invalid
from sentinel_api.v1alpha1.meshzones import MeshZone, MeshZones
from sentinel_mesh.__main__ import post
from sentinel_mesh.place import Place
from sentinel_mesh.station import Post

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


def test_the_file_of_zones_says_where_a_node_is_and_until_then_it_is_nowhere(tmp_path):
    file, routers = tmp_path / "zones", ("tcp/r-0.ns.svc:7447", "tcp/r-1.ns.svc:7447")
    east = MeshZone(name="zone_east", routers=routers, nodes=("n1",))
    file.write_text(MeshZones(wide=True, zones=(east,)).text)
    one, other = (Place("c", node, 1, (), zones=file).called() for node in ("n1", "n2"))
    assert (one.zone, one.routers, one.wide, one.nowhere) == ("zone_east", routers, True, False)
    assert other.nowhere
    assert not other.routers


def test_balancers_hear_each_other_over_all_zones_and_agents_nobody_there(tmp_path):
    """They share addresses: one that heard nobody would speak for all of them."""
    ends = {zone: (f"tcp/r-{zone}:7447",) for zone in ("a", "b")}
    zones = tuple(MeshZone(name=zone, routers=ends[zone], nodes=(f"e-{zone}", f"n-{zone}")) for zone in ends)
    file = tmp_path / "zones"
    file.write_text(MeshZones(zones=zones, edges=("e-a", "e-b")).text)
    assert Place("c", "e-a", 1, (), attentive=True, zones=file).called().beyond == (("b", "e-b"),)
    assert Place("c", "n-a", 1, (), alarms_only=True, zones=file).called().beyond == ()
    file.write_text(MeshZones(wide=True, zones=zones, edges=("e-a", "e-b")).text)
    assert Place("c", "e-a", 1, (), attentive=True, zones=file).called().beyond == (), "it hears them anyway"


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"zones": [{"name": "a/b", "routers": ["tcp/r:1"]}]}', '{"zones": 1}']
)
def test_a_file_that_is_none_is_one_sentence(tmp_path, text):
    (tmp_path / "zones").write_text(text)
    with pytest.raises(Invalid, match=" "):
        Place("c", "n1", 1, (), zones=tmp_path / "zones").called()


def test_zones_leave_no_place_for_peers(tmp_path):
    with pytest.raises(Invalid, match="no endpoint of its own"):
        Place("c", "n1", 1, (ALL[0],), zones=tmp_path / "zones")


@given(st.lists(st.sampled_from(["n1", "n2", "n3"]), max_size=3), st.booleans())
def test_what_is_written_is_read(nodes, wide):
    told = MeshZones(wide=wide, zones=(MeshZone(name="zone_a", routers=("tls/r:7447",), nodes=tuple(nodes)),))
    assert MeshZones.read(told.text) == told


def test_a_router_of_zones_is_told_which_of_them_it_is():
    with pytest.raises(Invalid, match="go together"):
        post({"SENTINEL_MESH_ZONES_FILE": "/z"})
    told = post({"SENTINEL_MESH_ZONES_FILE": "/z", "SENTINEL_MESH_ENDPOINT": "tcp/r-0:7447"})
    assert (told.endpoint, told.zones, told.place.zones) == ("tcp/r-0:7447", Path("/z"), None)


def test_a_router_dials_those_before_it_in_the_list_of_all(tmp_path):
    file = tmp_path / "zones"
    ends = [f"tcp/r-{zone}-{number}:7447" for zone in "ab" for number in range(2)]
    zones = (
        MeshZone(name="zone_b", routers=tuple(ends[2:]), nodes=()),
        MeshZone(name="zone_a", routers=tuple(ends[:2]), nodes=()),
    )
    file.write_text(MeshZones(zones=zones).text)
    dialled = {own: Post(Place("c", own[-1], 1, (ALL[0],)), file, own).now().dialled for own in ends}
    for one, two in combinations(ends, 2):
        assert (two in dialled[one]) + (one in dialled[two]) == 1
