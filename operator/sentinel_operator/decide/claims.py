"""Which nodes belong to which BufferCluster: the older one wins, and a node never changes hands under traffic."""

from dataclasses import replace

from sentinel_api.names import ROLE_BUFFER, ROLE_LABEL
from sentinel_api.v1alpha1.buffercluster import BufferCluster
from sentinel_operator.decide.world import Node, World


def wants(cluster: BufferCluster, node: Node) -> bool:
    """Whether the node carries the role and every further label that the cluster asks for."""
    asked = {**cluster.spec.agent.node_selector, ROLE_LABEL: ROLE_BUFFER}
    return all(node.labels.get(label) == value for label, value in asked.items())


def seniority(cluster: BufferCluster) -> tuple[str, str, str]:
    """Sorts the oldest first; the name decides between twins, so that every replica finds the same winner."""
    meta = cluster.metadata
    born = meta.creation_timestamp.isoformat() if meta.creation_timestamp else ""
    return born, meta.namespace or "", meta.name


def claimed(world: World) -> tuple[Node, ...]:
    """The nodes of this cluster, by name."""
    return tuple(node for node in _candidates(world) if not _taken_by(world, node))


def lost(world: World) -> dict[str, str]:
    """Nodes that this cluster asks for but another one has → that other one, as namespace/name."""
    taken = ((node.name, _taken_by(world, node)) for node in _candidates(world))
    return {name: other for name, other in taken if other}


def would_be_ours(world: World, node: Node) -> bool:
    """Whether a node without a role came to this cluster if it got the role: not to an older one that asks for it."""
    with_role = replace(node, labels={**node.labels, ROLE_LABEL: ROLE_BUFFER})
    return wants(world.cluster, with_role) and not _taken_by(world, with_role)


def _candidates(world: World) -> tuple[Node, ...]:
    return tuple(sorted((n for n in world.nodes if wants(world.cluster, n)), key=lambda n: n.name))


def _taken_by(world: World, node: Node) -> str:
    """An older cluster that asks for the node, or the one that holds it already; empty when it is free for us."""
    holder = world.holders.get(node.name)
    if holder is not None:
        ours = holder == (world.owner.namespace, world.owner.name)
        return "" if ours or holder not in world.living else "/".join(holder)
    older = [
        c for c in world.clusters
        if wants(c, node) and seniority(c) < seniority(world.cluster) and c.metadata.deletion_timestamp is None
    ]  # fmt: skip
    if not older:
        return ""
    first = min(older, key=seniority).metadata
    return f"{first.namespace}/{first.name}"
