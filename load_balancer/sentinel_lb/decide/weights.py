"""What share of each class's new traffic every node should get, and why: reports and forecasts in, shares out.

The kernel does not read these shares: two candidates and fresh headroom decide there. They are what the balancer
intends, published so that the node which will get a burst has made room for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

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
    known = [node for node in open_nodes if node.state is State.READY and _says(node, class_id)]
    return _by_room(open_nodes, known, class_id) | closed


def _says(node: Node, class_id: int) -> bool:
    return node.headroom is not None and class_id in node.headroom


def _room(node: Node, class_id: int) -> int:
    assert node.headroom is not None
    expected = (node.forecast or {}).get(class_id, 0)
    return max(0, node.headroom[class_id] - expected)


def _by_room(open_nodes: Sequence[Node], known: Sequence[Node], class_id: int) -> dict[str, Weight]:
    """Nodes that say nothing get their part by capacity; those that speak divide the rest by their room."""
    capacity = sum(node.capacity for node in open_nodes)
    rooms = {node.name: _room(node, class_id) for node in known}
    spoken = sum(node.capacity for node in known) / capacity if capacity else 0.0
    weights = {
        node.name: Weight(node.capacity / capacity, "says nothing fresh: its part by capacity")
        for node in open_nodes
        if node.name not in rooms
    }
    if sum(rooms.values()):
        total = sum(rooms.values())
        told = {name: Weight(spoken * room / total, f"room for {room} bytes") for name, room in rooms.items()}
    else:
        told = _least_loaded(known, spoken)
    return weights | told


def _least_loaded(known: Sequence[Node], spoken: float) -> dict[str, Weight]:
    least = min((node.load for node in known), default=0.0)
    idle = sum(node.load == least for node in known)
    return {
        node.name: Weight(spoken / idle, "no node has room: least loaded")
        if node.load == least
        else Weight(0.0, "no node has room, and others are less loaded")
        for node in known
    }
