"""Where new flows go: what our balancer does, and what others do instead, each over the same ring and the same news."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from sentinel_lb.decide.draw import part_of_second
from sentinel_lb.decide.ring import SLOTS, Member, pairs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from sentinel_lab.sim.cluster import Floats, Heard, Ints, Placement


def ring_of(nodes: int) -> Ints:
    """The product's own, of nodes of equal static capacity."""
    return pairs([Member(f"node-{n}", n) for n in range(nodes)]).astype(np.int64)


def hashed(key: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The upper half of the hash, which is all that a placement looks at."""
    upper: NDArray[np.uint64] = key * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(32)
    return upper


def slots_of(key: NDArray[np.uint64]) -> Ints:
    """As the kernel finds them."""
    return (hashed(key) * np.uint64(SLOTS) >> np.uint64(32)).astype(np.int64)


def lots_of(key: NDArray[np.uint64]) -> Floats:
    """What the slot leaves over, between 0 and 1."""
    return (hashed(key) & np.uint64(0xFFFF)) / 65_536


@dataclass(frozen=True, slots=True, eq=False)
class Readiness:
    """One of the ring's two candidates, drawn by their published room; without any, the less loaded."""

    ring: Ints

    def place(self, key: NDArray[np.uint64], heard: Heard) -> Ints:
        first, second = self.ring[slots_of(key)].T
        room, backlog = heard.headroom_bytes, heard.backlog_bytes
        drawn = lots_of(key) < part_of_second(room[first], room[second])
        without = np.maximum(room[first], room[second]) == 0
        leaves = np.where(without, backlog[second] < backlog[first], drawn)
        chosen: Ints = np.where(leaves, second, first)
        return chosen


@dataclass(slots=True, eq=False)
class Several:
    """Balancers that share nothing draw by room, each a part of the flows, and each by news a step older than those of
    the one before it."""

    ring: Ints
    balancers: int
    _heard: deque[Heard] = field(init=False)

    def __post_init__(self) -> None:
        self._heard = deque(maxlen=self.balancers)

    def place(self, key: NDArray[np.uint64], heard: Heard) -> Ints:
        self._heard.appendleft(heard)
        chosen = np.zeros(len(key), np.int64)
        router = (key >> np.uint64(5)).astype(np.int64) % self.balancers
        for index in range(self.balancers):
            mine, news = router == index, self._heard[min(index, len(self._heard) - 1)]
            chosen[mine] = Readiness(self.ring).place(key[mine], news)
        return chosen


@dataclass(frozen=True, slots=True, eq=False)
class Maglev:
    """The ring's first candidate, whatever is heard."""

    ring: Ints

    def place(self, key: NDArray[np.uint64], _heard: Heard) -> Ints:
        chosen: Ints = self.ring[slots_of(key), 0]
        return chosen


@dataclass(slots=True, eq=False)
class RoundRobin:
    nodes: int
    _next: int = 0

    def place(self, key: NDArray[np.uint64], _heard: Heard) -> Ints:
        chosen = (self._next + np.arange(len(key))) % self.nodes
        self._next = int(self._next + len(key)) % self.nodes
        return chosen


@dataclass(frozen=True, slots=True, eq=False)
class LeastConnections:
    """Knows its own flows to the last one, and nothing else."""

    def place(self, key: NDArray[np.uint64], heard: Heard) -> Ints:
        flows = heard.flows.copy()
        chosen = np.zeros(len(key), np.int64)
        for each in range(len(key)):
            chosen[each] = np.argmin(flows)
            flows[chosen[each]] += 1
        return chosen


@dataclass(slots=True, eq=False)
class TwoRandom:
    """Of two nodes by chance the one with fewer of its own flows."""

    nodes: int
    seed: int
    _random: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self._random = np.random.default_rng(self.seed)

    def place(self, key: NDArray[np.uint64], heard: Heard) -> Ints:
        flows = heard.flows.copy()
        chosen = np.zeros(len(key), np.int64)
        drawn = self._random.integers(0, self.nodes, (len(key), 2))
        for each, (one, other) in enumerate(drawn):
            chosen[each] = other if flows[other] < flows[one] else one
            flows[chosen[each]] += 1
        return chosen


POLICIES: Final[Mapping[str, Callable[[Ints, int, int], Placement]]] = {
    "readiness": lambda ring, _nodes, _seed: Readiness(ring),
    "maglev": lambda ring, _nodes, _seed: Maglev(ring),
    "round_robin": lambda _ring, nodes, _seed: RoundRobin(nodes),
    "least_connections": lambda _ring, _nodes, _seed: LeastConnections(),
    "two_random": lambda _ring, nodes, seed: TwoRandom(nodes, seed),
}
SIMULATED: Final[Mapping[str, Callable[[Ints, int, int], Placement]]] = {
    **POLICIES,
    "readiness_of_two": lambda ring, _nodes, _seed: Several(ring, 2),
    "readiness_of_three": lambda ring, _nodes, _seed: Several(ring, 3),
}
"""And what balancers beside each other come to: on real packets a stage has one."""
