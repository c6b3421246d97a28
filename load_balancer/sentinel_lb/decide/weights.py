"""What share of each class's new traffic every node should get, and why: reports and forecasts in, shares out.

The kernel does not read these shares: it draws each flow from two candidates by their room, and these are what that
comes to. They are what the balancer intends, published so that the node which will get a burst has made room for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

import numpy as np

from sentinel_lb.decide import draw

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class State(Enum):
    READY = "ready"
    BUSY = "busy"  # alive, but what it says about its room is too old to count
    DRAINING = "draining"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Node:
    """`headroom` and `forecast` are bytes of each class: what fits into the next second, and what is expected in it."""

    name: str
    state: State
    capacity: int = 1
    load: float = 0.0
    headroom: Mapping[int, int] | None = None
    forecast: Mapping[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Weight:
    share: float  # of the class's new traffic; the shares of a class add up to 1, or to 0 when nobody can take any
    reason: str


Weights = dict[int, dict[str, Weight]]


def route(nodes: Sequence[Node], classes: Sequence[int]) -> Weights:
    """A node's room is what it says it can take beyond what it expects anyway."""
    return {class_id: _of_class(nodes, class_id) for class_id in classes}


def _of_class(nodes: Sequence[Node], class_id: int) -> dict[str, Weight]:
    open_nodes = [node for node in nodes if node.state in (State.READY, State.BUSY)]
    closed = {
        node.name: Weight(0.0, "drains: keeps its flows, gets no new ones" if node.state is State.DRAINING else "dead")
        for node in nodes
        if node.state in (State.DRAINING, State.DEAD)
    }
    return _drawn(open_nodes, class_id) | closed


def _drawn(nodes: Sequence[Node], class_id: int) -> dict[str, Weight]:
    rooms = [_room(node, class_id) for node in nodes]
    offers = draw.Offers(
        capacity=np.array([node.capacity for node in nodes], np.float64),
        room=np.array([room or 0 for room in rooms], np.float64),
        says=np.array([room is not None for room in rooms], np.bool_),
        load=np.array([node.load for node in nodes], np.float64),
    )
    found = draw.shares(offers).tolist()
    return {node.name: Weight(share, _why(room, share)) for node, room, share in zip(nodes, rooms, found, strict=True)}


def _room(node: Node, class_id: int) -> int | None:
    if node.state is not State.READY or node.headroom is None or class_id not in node.headroom:
        return None
    return max(0, node.headroom[class_id] - (node.forecast or {}).get(class_id, 0))


def _why(room: int | None, share: float) -> str:
    if room is None:
        return "says nothing fresh: gets flows whose other candidate has no room" if share else "says nothing fresh"
    if room:
        return f"room for {room} bytes"
    return "no room, but others have none either: the less loaded of two" if share else "no room, and others do better"
