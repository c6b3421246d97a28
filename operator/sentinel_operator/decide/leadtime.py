"""How long a node takes until it carries traffic: from its role, or from the decision that asked for it, to a working
agent, and, where the balancers are heard in the mesh, to the first of them that sends it something. The slowest counts.
"""

from dataclasses import dataclass
from datetime import datetime

from sentinel_api.v1alpha1.buffercluster import BufferCluster
from sentinel_operator.decide.freshness import answers
from sentinel_operator.decide.world import World

USUAL_S = 120  # of a node that exists: its label, an image, an agent, its balancers; with room to spare
KEPT = 5  # nodes that are remembered: a change of image or hardware shows soon
LONGEST_S = 3_600  # a node that took longer was not waited for, but repaired


@dataclass(frozen=True, slots=True)
class Arrived:
    """A node that carries traffic for the first time since it was asked for, and the seconds that took."""

    node: str
    seconds: int


def arrived(world: World) -> tuple[Arrived, ...]:
    """Each is told until its mark is taken away, which is done once it is in the status."""
    working = {
        order.metadata.name
        for order in world.own_nodes
        if order.status
        and answers(order, world.now)
        and any(c.type == "Ready" and c.status == "True" for c in order.status.conditions)
    }
    if world.served is not None:
        working &= world.served
    ours = {world.owner.label}
    if world.cluster.spec.scaling.driver.type == "ScaleSubresource":
        ours.add("")  # whoever made it, we asked for it
    return tuple(
        Arrived(node.name, max(0, round((world.now - node.taken_at).total_seconds())))
        for node in sorted(world.nodes, key=lambda node: node.name)
        if node.taken_at is not None and node.taken_by in ours and node.name in working
    )


def asked_at(world: World) -> datetime | None:
    """When the last decision asked for more nodes of a driver that does not say which: one that comes is its answer."""
    scaling = world.cluster.status.scaling if world.cluster.status else None
    last = scaling.decisions[0] if scaling and scaling.decisions else None
    if world.cluster.spec.scaling.driver.type != "ScaleSubresource" or last is None:
        return None
    waited_s = (world.now - last.decided_at).total_seconds()
    return last.decided_at if last.applied and last.to_nodes > last.from_nodes and waited_s <= LONGEST_S else None


def remembered(before: tuple[int, ...], now: tuple[Arrived, ...]) -> tuple[int, ...]:
    fresh = tuple(each.seconds for each in now if each.seconds <= LONGEST_S)
    return (*fresh, *before)[:KEPT]


def lead_time_s(cluster: BufferCluster) -> int:
    """As asked for, else the slowest that was measured lately and the interval until it is ordered, else the usual."""
    rules = cluster.spec.scaling
    measured = cluster.status.scaling.measured_lead_seconds if cluster.status else ()
    if rules.lead_time_seconds is not None:
        return rules.lead_time_seconds
    return max(measured) + rules.interval_seconds if measured else USUAL_S
