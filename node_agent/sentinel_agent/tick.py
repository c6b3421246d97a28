"""One tick as a value: what people and other nodes are told is made from this and from nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sentinel_api.records import CLASSES
from sentinel_core.forecast import Forecast
from sentinel_core.sample import Valid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from sentinel_agent.decide.policy import Chosen
    from sentinel_agent.observe import Seen
    from sentinel_bpf.buffer.port import Interface, Verdict
    from sentinel_core.forecast import NodeDemand
    from sentinel_core.precursor import Signs
    from sentinel_core.sample import Snapshot
    from sentinel_core.score import Marks


@dataclass(frozen=True, slots=True, eq=False)
class LaneTick:
    """What one interface showed in this tick. `first_row`: where its classes begin among the rows decided."""

    interface: Interface
    verdict: Verdict
    first_row: int
    names: Mapping[int, str]
    """Classes by id."""
    observed: Seen
    counters: Snapshot
    carried_bps: float
    """Bytes a second that arrived, as a mean over the report's period."""
    forecast: Forecast
    marks: Marks
    signs: Signs
    began: NDArray[np.bool_]
    """In which classes a burst began."""
    trouble: str = ""
    """Why this interface was not steered in this tick; empty when it was."""
    note: str = ""
    """What a person should know, as that it has another name now."""

    def row(self, class_id: int) -> int:
        return self.first_row + class_id

    def spare_bps(self) -> NDArray[np.float64]:
        """What the rate has left for each class beyond what comes: its part, by share, of what nobody uses, or what it
        is guaranteed itself and does not use, if that is more, since whoever borrows it gives it back at once. So all
        classes together are never promised more than the rate. Who was not counted is taken to use its whole share.
        Less than nothing where a class gets more than it can be rid of."""
        seen, rate = self.observed, self.interface.rate_bytes_per_s
        counted = seen.sample.has(Valid.COUNTERS)
        arrivals = np.where(counted, seen.sample.per_second("bytes"), seen.share_bps)
        unused = rate - float(arrivals.sum())
        own = np.minimum(seen.drain_bps, seen.share_bps) - arrivals
        part = np.minimum(unused, unused * seen.share_bps / rate)  # what is lacking is lacking whole, to everybody
        found: NDArray[np.float64] = np.maximum(own, part)
        return found


@dataclass(frozen=True, slots=True, eq=False)
class Pool:
    """The node's memory for queues, in bytes."""

    total: int
    granted: int
    lent: int
    """Of what is granted: room that nobody needed, recalled on demand."""
    recalled: int
    """Of what was lent a tick ago: taken back in this one."""
    held: int
    """Bytes that wait in the queues now."""
    taken_back: NDArray[np.int64]
    """Of each row's loans in the last ten seconds."""


@dataclass(frozen=True, slots=True, eq=False)
class Tick:
    """`lanes` has an entry for each interface that could be read; `blind` says why another could not."""

    seq: int
    at_ns: int
    wall_ns: int
    took_ns: int
    missed: int
    config_digest: str
    pool: Pool
    lanes: tuple[LaneTick, ...]
    chosen: Chosen
    blind: Mapping[str, str]

    @property
    def arrivals_bps(self) -> float:
        """Bytes per second that arrived in this tick alone, on all interfaces."""
        return float(sum(lane.observed.sample.per_second("bytes").sum() for lane in self.lanes))

    @property
    def carried_bps(self) -> float:
        """What the node's demand is now: of all interfaces, over the report's period."""
        return sum(lane.carried_bps for lane in self.lanes)

    @property
    def trusted(self) -> bool:
        return any(lane.marks.trusted for lane in self.lanes)

    def forecast(self) -> Forecast:
        """Of the node: a burst of a class on any interface is one of the class, and amounts add up."""
        first, *others = (lane.forecast for lane in self.lanes)
        for other in others:
            first = Forecast(
                made_ns=min(first.made_ns, other.made_ns),
                source=first.source,
                hazard=1.0 - (1.0 - first.hazard) * (1.0 - other.hazard),
                magnitude_bytes=first.magnitude_bytes + other.magnitude_bytes,
                demand=first.demand + other.demand,
            )
        return first

    def by_class(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Sums of all interfaces, by class id."""
        found: NDArray[np.int64] = rows.reshape(-1, CLASSES).sum(axis=0)
        return found

    def demand(self) -> NodeDemand:
        return self.forecast().node_demand()

    def headroom_bytes(self) -> NDArray[np.float64]:
        """What each class can take in the next second on top of what it gets: the room that is left in its queue, and
        what the rate spares it. An interface that is only observed promises nothing, and neither does any for a class
        that the node does not have, or whose arrivals were not counted in this tick."""
        room = np.zeros(CLASSES)
        for lane in self.lanes:
            if lane.verdict.tier.value == "C" or lane.trouble:
                continue
            sample, ids = lane.observed.sample, list(lane.names)
            limits = np.array([self.chosen.limit_bytes[lane.row(each)] for each in ids], np.float64)
            left = limits - sample.backlog_bytes[ids] + lane.spare_bps()[ids]
            room[ids] += np.maximum(left, 0.0) * sample.has(Valid.COUNTERS)[ids]
        return room
