"""The kernel's counters to one frozen sample; the only reader, and it changes nothing."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from sentinel_agent import sojourn
from sentinel_bpf.buffer.port import CLASSES, Direction, Reading, Tier
from sentinel_bpf.maps import snapshot as copied
from sentinel_core.sample import Queues, Sample, Snapshot, Valid, between, no_queues

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from sentinel_agent.plane import Plane

QUEUE: Final = int(Valid.QUEUE)
SOJOURN: Final = int(Valid.SOJOURN)
Q16: Final = 65536.0
BACKLOGGED_BYTES: Final = 1514  # less than a frame waiting says nothing about how fast the queue can empty


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What one tick saw: the sample, and how fast each class's queue empties (bytes per second)."""

    sample: Sample
    drain_bps: NDArray[np.float64]
    share_bps: NDArray[np.float64]
    """What each class is guaranteed of the rate; all of them together are the rate."""
    readings: Mapping[int, Reading] = field(default_factory=dict)
    """The queue itself, by class."""
    pid_output: NDArray[np.float64] | None = None
    """What the controller in the kernel asked for last, 0 to 1; None where leaving packets queue: it sees none."""


class Observer:
    """Remembers the last reading, since everything the kernel counts only grows. Bytes and packets are those that go
    the queue's way; new flows and SYNs are always those that come in, since leaving traffic begins with them."""

    def __init__(self, plane: Plane, share_bps: NDArray[np.float64]) -> None:
        self._plane = plane
        self._cells = plane.loaded.map("sn_cells").view()
        out = plane.place.interface.direction is Direction.EGRESS
        self._moved = plane.loaded.map("sn_out_cells").view() if out else self._cells
        self._controllers = None if out else plane.loaded.map("sn_vqueues").view()
        self._share_bps = share_bps
        self._drain_bps = share_bps.copy()
        self._quantiles: sojourn.Quantiles | None = None
        self._waited: NDArray[np.int64] | None = None
        self._readings: Mapping[int, Reading] = plane.buffer.read()
        self.latest = self._snapshot(time.monotonic_ns(), self._readings)
        self._queues(self._readings)  # so that the first look tells only of its own period

    def look(self) -> Seen:
        now_ns = time.monotonic_ns()
        readings = self._plane.buffer.read()
        after = self._snapshot(now_ns, readings)
        sample = between(self.latest, after, self._queues(readings))
        self._measure_drain(readings, sample.period_ns)
        self.latest, self._readings = after, readings
        output = None if self._controllers is None else self._controllers["probability"] / Q16
        return Seen(sample, self._drain_bps.copy(), self._share_bps, readings, output)

    def _snapshot(self, now_ns: int, readings: Mapping[int, Reading]) -> Snapshot:
        cells = copied(self._cells).reshape(-1, CLASSES)
        moved = copied(self._moved).reshape(-1, CLASSES)
        drops: NDArray[np.uint64] = moved["drops"].sum(axis=0)
        for each, reading in readings.items():
            drops[each] += np.uint64(reading.drops)
        return Snapshot(
            t_ns=now_ns,
            bytes=moved["bytes"].sum(axis=0),
            packets=moved["packets"].sum(axis=0),
            new_flows=cells["new_flows"].sum(axis=0),
            syns=cells["syns"].sum(axis=0),
            drops=drops,
        )

    def _queues(self, readings: Mapping[int, Reading]) -> Queues:
        queues = no_queues()
        if self._plane.verdict.tier is Tier.OBSERVE or not readings:
            return queues
        ids = list(readings)
        queues.backlog_bytes[ids] = [each.backlog_bytes for each in readings.values()]
        queues.limit_bytes[ids] = [each.limit_bytes for each in readings.values()]
        queues.measured[ids] = QUEUE
        buckets = max(len(each.sojourn) for each in readings.values())
        if buckets:
            self._time(queues, readings, buckets)
        return queues

    def _time(self, queues: Queues, readings: Mapping[int, Reading], buckets: int) -> None:
        if self._quantiles is None:
            self._quantiles = sojourn.Quantiles(buckets)
        now = sojourn.histograms(readings, buckets)
        spent = sojourn.gained(now, self._waited)
        self._waited = now
        ids = np.array(list(readings))
        timed = spent.any(axis=1)
        found = self._quantiles.of(spent[timed])
        queues.sojourn_us_p50[ids[timed]] = found[:, 0]
        queues.sojourn_us_p95[ids[timed]] = found[:, 1]
        queues.sojourn_us_p99[ids[timed]] = found[:, 2]
        queues.measured[ids[timed]] |= SOJOURN

    def _measure_drain(self, readings: Mapping[int, Reading], period_ns: int) -> None:
        """The dequeue rate counts only while something waits; else the class's share of the rate stands."""
        for each, reading in readings.items():
            before = self._readings.get(each)
            if before is None or before.backlog_bytes < BACKLOGGED_BYTES or reading.backlog_bytes < BACKLOGGED_BYTES:
                self._drain_bps[each] = self._share_bps[each]
            elif reading.sent_bytes >= before.sent_bytes:
                self._drain_bps[each] = (reading.sent_bytes - before.sent_bytes) * 1e9 / period_ns
