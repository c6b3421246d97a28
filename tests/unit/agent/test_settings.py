"""How the process reads its environment."""

from pathlib import Path

import pytest

from sentinel_agent.settings import settings
from sentinel_api.errors import Invalid
from sentinel_mesh.settings import MeshSettings


def test_pins_of_two_nodes_on_one_host_do_not_meet():
    one, two = (settings({"SENTINEL_NODE_NAME": name, "SENTINEL_BPFFS": "/b"}) for name in ("n1", "n2"))
    assert one.pins != two.pins


def test_a_bpffs_takes_no_dots():
    assert "." not in settings({"SENTINEL_NODE_NAME": "n1.example.org", "SENTINEL_BPFFS": "/b"}).pins.name


@pytest.mark.parametrize(
    ("env", "sentence"),
    [
        ({"SENTINEL_METRICS_PORT": "http"}, "SENTINEL_METRICS_PORT is 'http': use a port up to 65535"),
        ({"SENTINEL_DEBUG_PORT": "70000"}, "SENTINEL_DEBUG_PORT is '70000': use a port up to 65535"),
        ({"SENTINEL_MESH_PEERS": "tcp/n2:7447"}, "SENTINEL_MESH_PEERS is set without SENTINEL_MESH_LISTEN"),
        (
            {"SENTINEL_MESH_ZONES_FILE": "/z", "SENTINEL_MESH_LISTEN": "tcp/n1:7447"},
            "SENTINEL_MESH_ZONES_FILE names zone and routers: set no LISTEN",
        ),
        ({"SENTINEL_LOG_LEVEL": "loud"}, "SENTINEL_LOG_LEVEL is 'loud': use one of Debug, Info, Warning, Error"),
    ],
)
def test_a_mistake_is_one_sentence(env, sentence):
    with pytest.raises(Invalid, match=sentence):
        settings(env)


def test_without_a_place_to_listen_there_is_no_mesh():
    assert settings({}).mesh is None


def test_a_node_may_name_several_peers():
    chosen = settings({"SENTINEL_MESH_LISTEN": "tcp/n1:7447", "SENTINEL_MESH_PEERS": "tcp/n2:7447, tcp/n3:7447,"})
    assert chosen.mesh == MeshSettings("default", ("tcp/n1:7447",), ("tcp/n2:7447", "tcp/n3:7447"))


def test_a_file_of_zones_stands_for_zone_and_routers():
    chosen = settings({"SENTINEL_MESH_ZONES_FILE": "/z"}).mesh
    assert (chosen.zones, chosen.behind_routers, chosen.routers, chosen.listen) == (Path("/z"), True, (), ())


def test_what_is_for_this_machine_only_listens_on_it_alone_unless_told_otherwise():
    default, told = settings({}), settings({"SENTINEL_DEBUG_LISTEN": "10.0.0.1", "SENTINEL_LISTEN": "10.0.0.2"})
    assert (default.debug_listen, default.listen) == ("127.0.0.1", "0.0.0.0")
    assert (told.debug_listen, told.listen) == ("10.0.0.1", "10.0.0.2")
