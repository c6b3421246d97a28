"""The nodes' configuration, named by its content: it never changes, so an agent can hold on to the one it runs."""

from sentinel_api.v1alpha1.nodeconfig import CONFIG_FILE, NodeConfig, config_map_name
from sentinel_operator.objects import Manifest
from sentinel_operator.render.base import Owner, namespaced


def name(owner: Owner, digest: str) -> str:
    return config_map_name(owner.name, digest)


def render(owner: Owner, config: NodeConfig) -> Manifest:
    return namespaced(
        owner, "v1", "ConfigMap", name(owner, config.digest), "config", immutable=True, data={CONFIG_FILE: config.text}
    )
