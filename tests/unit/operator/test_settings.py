"""The operator's environment, and what is said of one that is wrong."""

import pytest

from sentinel_api.errors import Invalid
from sentinel_operator.settings import settings

NEEDED = {"SENTINEL_AGENT_IMAGE": "registry.test/agent:1"}


def test_an_image_is_all_that_it_needs():
    chosen = settings(NEEDED)
    assert (chosen.namespace, chosen.release.mesh_port, chosen.scaler_port) == ("sentinel-system", 0, 0)


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({}, "SENTINEL_AGENT_IMAGE is not set: name the agent's image"),
        ({**NEEDED, "SENTINEL_HEALTH_PORT": "0"}, "SENTINEL_HEALTH_PORT is '0': use a port between 1 and 65535"),
        ({**NEEDED, "SENTINEL_METRICS_PORT": "web"}, "SENTINEL_METRICS_PORT is 'web': use a port between 1 and 65535"),
        ({**NEEDED, "SENTINEL_MESH_PORT": "65536"}, "SENTINEL_MESH_PORT is '65536': use a port between 0 and 65535"),
        ({**NEEDED, "SENTINEL_MESH_ZONES": "yes"}, "SENTINEL_MESH_ZONES is 'yes': use true or false"),
    ],
)
def test_what_is_wrong_is_refused_with_the_way_out(env, said):
    with pytest.raises(Invalid) as refused:
        settings(env)
    assert str(refused.value).startswith(said)
