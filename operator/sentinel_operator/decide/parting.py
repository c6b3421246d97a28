"""Balancers that are not wanted any more: they hand their nodes back before their Deployment goes.

A pod that merely ends leaves program, tables and addresses to its successor: so it must be told that there is none.
"""

from dataclasses import dataclass
from datetime import timedelta

from sentinel_operator.decide.world import World
from sentinel_operator.objects import Manifest, digest, key, signed
from sentinel_operator.render import balancerconfig, balancers

NEWS = timedelta(seconds=15)
"""After this every balancer that runs has read the order (it looks each second), and its kubelet has told whether it is
ready. Before, one that has just come up by older orders looks the same as one that has handed everything back."""


@dataclass(frozen=True, slots=True)
class Parting:
    """`waits`: some balancer has not handed back yet; those that have are no longer ready."""

    orders: tuple[Manifest, ...] = ()
    waits: bool = False


def parting(world: World) -> Parting:
    if balancers.key_of(world.owner) not in world.owned:
        return Parting()
    order = balancerconfig.farewell(world.owner, world.cluster.spec)
    if world.owned.get(key(order)) != digest(order):
        return Parting((balancerconfig.dated(signed(order), world.now),), waits=True)
    return Parting(waits=_waits(world))


def _waits(world: World) -> bool:
    """For whatever runs. A container that begins only now finds the order, and touches nothing."""
    if not world.balancer_pods:
        return False
    young = world.parting_since is not None and world.now - world.parting_since < NEWS
    return young or any(pod.ready or not pod.started for pod in world.balancer_pods)
