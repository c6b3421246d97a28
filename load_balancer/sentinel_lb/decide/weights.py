"""What share of each class's new traffic every node should get, and why: reports and forecasts in, shares out.

The kernel does not read these shares: it draws each flow from two candidates by their room, and these are what that
comes to. They are what the balancer intends, published so that the node which will get a burst has made room for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from sentinel_lb.decide import draw


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


@dataclass(frozen=True, slots=True, eq=False)
class OfClass(Mapping[str, Weight]):
    """Who gets how much of one class, and by which room. Reasons are made when somebody asks: a tick has a thousand
    nodes and sixteen classes, and a person reads few of them."""

    share: Mapping[str, float]
    room: Mapping[str, int | None]
    closed: Mapping[str, str]
    """Why those that take no new flows do not."""

    def __getitem__(self, name: str) -> Weight:
        share = self.share[name]
        return Weight(share, self.closed.get(name) or _why(self.room[name], share))

    def __iter__(self) -> Iterator[str]:
        return iter(self.share)

    def __len__(self) -> int:
        return len(self.share)


Weights = dict[int, OfClass]


def route(nodes: Sequence[Node], classes: Sequence[int]) -> Weights:
    """A node's room is what it says it can take beyond what it expects anyway."""
    open_nodes = [node for node in nodes if node.state in (State.READY, State.BUSY)]
    names = [node.name for node in open_nodes]
    closed = {
        node.name: "drains: keeps its flows, gets no new ones" if node.state is State.DRAINING else "dead"
        for node in nodes
        if node.state in (State.DRAINING, State.DEAD)
    }
    capacity = np.array([node.capacity for node in open_nodes], np.float64)
    load = np.array([node.load for node in open_nodes], np.float64)
    found: Weights = {}
    for class_id in classes:
        rooms = [_room(node, class_id) for node in open_nodes]
        offers = draw.Offers(
            capacity=capacity,
            room=np.array([room or 0 for room in rooms], np.float64),
            says=np.array([room is not None for room in rooms], np.bool_),
            load=load,
        )
        shares = dict(zip(names, draw.shares(offers).tolist(), strict=True)) | dict.fromkeys(closed, 0.0)
        found[class_id] = OfClass(shares, dict(zip(names, rooms, strict=True)), closed)
    return found


def _room(node: Node, class_id: int) -> int | None:
    if node.headroom is None or node.state is not State.READY:
        return None
    said = node.headroom.get(class_id)
    if said is None or node.forecast is None:
        return said
    return max(0, said - node.forecast.get(class_id, 0))


def _why(room: int | None, share: float) -> str:
    if room is None:
        return "says nothing fresh: gets flows whose other candidate has no room" if share else "says nothing fresh"
    if room:
        return f"room for {room} bytes"
    return "no room, but others have none either: the less loaded of two" if share else "no room, and others do better"
