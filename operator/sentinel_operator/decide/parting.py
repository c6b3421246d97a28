"""Balancers that are not wanted any more: they hand their nodes back before their Deployment goes.

A pod that merely ends leaves program, tables and addresses to its successor: so it must be told that there is none.
"""

from dataclasses import dataclass

from sentinel_operator.decide.world import World
from sentinel_operator.objects import Manifest, digest, key, signed
from sentinel_operator.render import balancerconfig, balancers


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
        return Parting((signed(order),), waits=True)
    return Parting(waits=world.balancers.ready > 0)
