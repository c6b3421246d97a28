"""Who may speak in a cluster's mesh, by name: every node that is or may soon be part of it."""

from sentinel_api.names import CLUSTER_LABEL, MESH_OPERATOR, ROLE_EDGE, ROLE_LABEL
from sentinel_operator.decide import claims
from sentinel_operator.decide.world import Node, World
from sentinel_operator.render import balancers


def names(world: World) -> tuple[str, ...]:
    """Labels alone decide, not readiness: a list that moved with every node's health would make all members connect
    anew whenever something is wrong. Spare nodes are on it, for it takes a minute to reach every pod."""
    found = {node.name for node in claims.claimed(world)} | {order.metadata.name for order in world.own_nodes}
    if world.cluster.spec.scaling.mode in ("Auto", "ScaleOutOnly"):
        found |= {node.name for node in world.nodes if _may_come(world, node)}
    if balancers.wanted(world.cluster.spec):
        asked = {**world.cluster.spec.load_balancer.node_selector, ROLE_LABEL: ROLE_EDGE}.items()
        found |= {node.name for node in world.nodes if asked <= node.labels.items()}
    return tuple(sorted(found | {MESH_OPERATOR}))


def _may_come(world: World, node: Node) -> bool:
    asked = world.cluster.spec.scaling.driver.spare_node_selector
    free = ROLE_LABEL not in node.labels and node.labels.get(CLUSTER_LABEL, world.owner.label) == world.owner.label
    return free and asked.items() <= node.labels.items() and claims.would_be_ours(world, node)
