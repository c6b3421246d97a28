"""Up to a thousand nodes at once, as fluids: for studies of where flows should go and how many nodes there should be.

    traffic (flows that begin, carry on and end) → a placement chooses a node for each new flow → each node's queue

A step is a tick of 100 ms. Nodes are one class wide: what shares a node is the business of `sim.run`. A placement sees
each node's headroom as it was published, so many steps ago, as a balancer does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from sentinel_api.errors import Invalid
from sentinel_lab.sim.tally import BUCKETS, buckets, quantile_us

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

STEP_S: Final = 0.1
MOST_NODES: Final = 1_000
HEADROOM_S: Final = 1.0
"""Headroom is what a node can accept in the next second without a drop, as the mesh publishes it."""


@dataclass(frozen=True, slots=True, eq=False)
class Fleet:
    """Per node: how fast its queue empties, and what it may hold."""

    drain_bytes_per_s: Floats
    limit_bytes: Floats

    def __post_init__(self) -> None:
        nodes = len(self.drain_bytes_per_s)
        if not 0 < nodes <= MOST_NODES or len(self.limit_bytes) != nodes:
            raise Invalid(f"a fleet has 1 to {MOST_NODES} nodes with a drain and a limit each")

    @property
    def nodes(self) -> int:
        return len(self.drain_bytes_per_s)


def even(nodes: int, drain_bytes_per_s: float, limit_bytes: float) -> Fleet:
    return Fleet(np.full(nodes, drain_bytes_per_s), np.full(nodes, limit_bytes))


@dataclass(frozen=True, slots=True, eq=False)
class Flows:
    """Sorted by their first step. A flow sends evenly, from its first step until the one before its last; `key` is what
    a balancer hashes."""

    first: Ints
    last: Ints
    bytes_per_s: Floats
    key: NDArray[np.uint64]

    def __post_init__(self) -> None:
        if (np.diff(self.first) < 0).any():
            raise Invalid("flows must be sorted by when they begin")

    @property
    def steps(self) -> int:
        return int(self.last.max(initial=0))


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """What a placement knows when a step begins: as published, `age_steps` ago, and how many flows it gave to whom."""

    headroom_bytes: Floats
    backlog_bytes: Floats
    flows: Ints
    alive: NDArray[np.bool_]


class Placement(Protocol):
    def place(self, key: NDArray[np.uint64], heard: Heard) -> Ints:
        """The node of each flow that begins in this step."""


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """Per step over all nodes, and per node over all steps."""

    offered_bytes: Floats
    dropped_bytes: Floats
    held_bytes: Floats
    node_dropped_bytes: Floats
    node_served_bytes: Floats
    histogram: Floats

    @property
    def drop_share(self) -> float:
        total = float(self.offered_bytes.sum())
        return float(self.dropped_bytes.sum()) / total if total else 0.0

    def wait_ms(self, quantile: float) -> float:
        """Of bytes, by the queue they found in front of them."""
        return quantile_us(self.histogram, quantile) / 1000.0


@dataclass(slots=True, eq=False)
class Cluster:
    """Advanced a step at a time, so that a study may change the fleet in between: `down`, `up`, `order`."""

    fleet: Fleet
    age_steps: int = 1
    backlog: Floats = field(init=False)
    load: Floats = field(init=False)
    flows: Ints = field(init=False)
    alive: NDArray[np.bool_] = field(init=False)
    foreign: Floats = field(init=False)
    """Bytes per second at each node of what no placement has a say in."""
    _told: list[tuple[Floats, Floats]] = field(init=False, default_factory=list)

    def __post_init__(self) -> None:
        nodes = self.fleet.nodes
        self.backlog, self.load = np.zeros(nodes), np.zeros(nodes)
        self.flows = np.zeros(nodes, np.int64)
        self.alive = np.ones(nodes, np.bool_)
        self.foreign = np.zeros(nodes)
        self._publish()

    def heard(self) -> Heard:
        headroom, backlog = self._told[0]
        return Heard(headroom, backlog, self.flows.copy(), self.alive.copy())

    def join(self, node: Ints, bytes_per_s: Floats) -> None:
        np.add.at(self.load, node, bytes_per_s)
        np.add.at(self.flows, node, 1)

    def leave(self, node: Ints, bytes_per_s: Floats) -> None:
        np.subtract.at(self.load, node, bytes_per_s)
        np.subtract.at(self.flows, node, 1)

    def step(self) -> tuple[Floats, Floats, Floats]:
        """Offered, served and dropped by node. A node that is down loses what it holds and is offered."""
        offered = (np.maximum(self.load, 0.0) + self.foreign) * STEP_S
        present = self.backlog + offered
        served = np.where(self.alive, np.minimum(present, self.fleet.drain_bytes_per_s * STEP_S), 0.0)
        room = np.where(self.alive, self.fleet.limit_bytes, 0.0)
        dropped = np.maximum(present - served - room, 0.0)
        self.backlog = present - served - dropped
        self._publish()
        return offered, served, dropped

    def _publish(self) -> None:
        drained = np.maximum(self.fleet.drain_bytes_per_s - self.load - self.foreign, 0.0) * HEADROOM_S
        headroom = np.where(self.alive, np.maximum(self.fleet.limit_bytes - self.backlog, 0.0) + drained, 0.0)
        self._told.append((headroom, self.backlog.copy()))
        del self._told[: -max(1, self.age_steps + 1)]


def placed(
    fleet: Fleet, flows: Flows, placement: Placement, age_steps: int = 1, foreign: Floats | None = None
) -> Outcome:
    """The whole run: flows stay where they were placed until they end. `foreign`: bytes per second by step and node."""
    cluster = Cluster(fleet, age_steps)
    steps = flows.steps
    node = np.zeros(len(flows.first), np.int64)
    starts = np.searchsorted(flows.first, np.arange(steps + 1))
    ending = np.argsort(flows.last, kind="stable")
    ends = np.searchsorted(flows.last[ending], np.arange(steps + 1))
    sums = np.zeros((3, steps))
    lost, served_by, histogram = np.zeros(fleet.nodes), np.zeros(fleet.nodes), np.zeros(BUCKETS)
    for step in range(steps):
        gone = ending[ends[step] : ends[step + 1]]
        cluster.leave(node[gone], flows.bytes_per_s[gone])
        new = slice(starts[step], starts[step + 1])
        node[new] = placement.place(flows.key[new], cluster.heard())
        cluster.join(node[new], flows.bytes_per_s[new])
        if foreign is not None:
            cluster.foreign = foreign[step]
        before_s = cluster.backlog / fleet.drain_bytes_per_s
        offered, served, dropped = cluster.step()
        sums[:, step] = offered.sum(), dropped.sum(), cluster.backlog.sum()
        lost += dropped
        served_by += served
        after_s = cluster.backlog / fleet.drain_bytes_per_s
        histogram += np.bincount(buckets((before_s + after_s) / 2 * 1e6), offered - dropped, BUCKETS)
    return Outcome(sums[0], sums[1], sums[2], lost, served_by, histogram)
