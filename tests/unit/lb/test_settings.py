"""The environment, read once: one sentence for each mistake."""

import pytest

from sentinel_api.errors import Invalid
from sentinel_lb.settings import settings


def test_without_an_environment_there_is_no_mesh_and_the_usual_ports():
    found = settings({"SENTINEL_NODE_NAME": "edge.one"})
    assert (found.mesh, found.metrics_port, found.debug_port) == (None, 9467, 9468)
    assert found.pins.name == "sentinel_edge_one"


def test_lists_are_written_with_commas():
    mesh = settings({"SENTINEL_MESH_LISTEN": "tcp/10.0.0.1:7447", "SENTINEL_MESH_PEERS": "tcp/a:1, tcp/b:2"}).mesh
    assert mesh is not None
    assert mesh.peers == ("tcp/a:1", "tcp/b:2")


@pytest.mark.parametrize(
    ("env", "sentence"),
    [
        ({"SENTINEL_METRICS_PORT": "65536"}, "use a port"),
        ({"SENTINEL_DEBUG_PORT": "x"}, "use a port"),
        ({"SENTINEL_LOG_LEVEL": "loud"}, "use one of"),
        ({"SENTINEL_MESH_PEERS": "tcp/a:1"}, "say where this process listens"),
    ],
)
def test_a_mistake_is_a_sentence(env, sentence):
    with pytest.raises(Invalid, match=sentence):
        settings(env)
