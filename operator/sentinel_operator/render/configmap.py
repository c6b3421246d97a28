"""The nodes' configuration, named by its content: it never changes, so an agent can hold on to the one it runs."""

from sentinel_api.v1alpha1.nodeconfig import NodeConfig
from sentinel_operator.objects import Manifest
from sentinel_operator.render.base import Owner, namespaced

FILE = "config.json"
NAME_DIGITS = 12


def name(owner: Owner, digest: str) -> str:
    return f"{owner.name}-config-{digest.removeprefix('sha256:')[:NAME_DIGITS]}"


def render(owner: Owner, config: NodeConfig) -> Manifest:
    return namespaced(
        owner, "v1", "ConfigMap", name(owner, config.digest), "config", immutable=True, data={FILE: config.text}
    )
