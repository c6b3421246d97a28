"""How long a node takes from its role to a working agent: measured on those that were taken, the slowest counts.

Balancers send it traffic with its first state in the mesh, within a second; that second is not measured.
"""

from dataclasses import dataclass

from sentinel_api.v1alpha1.buffercluster import BufferCluster
from sentinel_operator.decide.freshness import answers
from sentinel_operator.decide.world import World

USUAL_S = 120  # of a node that exists: its label, an image, an agent, its balancers; with room to spare
KEPT = 5  # nodes that are remembered: a change of image or hardware shows soon
LONGEST_S = 3_600  # a node that took longer was not waited for, but repaired


@dataclass(frozen=True, slots=True)
class Arrived:
    """A node whose agent works for the first time since it was taken, and the seconds that took."""

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
    return tuple(
        Arrived(node.name, max(0, round((world.now - node.taken_at).total_seconds())))
        for node in sorted(world.nodes, key=lambda node: node.name)
        if node.taken_at is not None and node.taken_by == world.owner.label and node.name in working
    )


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
