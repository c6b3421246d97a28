"""One simulated node through its whole run: what arrives, what its queues do with it, and what is to be counted.

Steps in which nothing waits and nobody exceeds its guarantee change nothing but the counters: they are leapt over, all
at once, and cost nothing however long they last. The others are taken one by one.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from typing import TYPE_CHECKING, Final

import numpy as np

from sentinel_lab.sim.bulk import Bulk
from sentinel_lab.sim.queue import Queues
from sentinel_lab.sim.tally import Tally
from sentinel_lab.sim.traffic import BULK_FLOWS, frame_bytes
from sentinel_lab.sim.view import Counters, Eye

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from sentinel_lab.sim.run import Lane

    Floats = NDArray[np.float64]

STRETCH_STEPS: Final = 2_000
SERIES_S: Final = 0.02
"""Distance of the points kept for plots."""


class Node:
    """`advance` it to the step of a look, `control` it there, and so on to the end."""

    def __init__(self, lane: Lane, warm_up_s: float, keep_points: bool) -> None:
        scenario, traffic = lane.scenario, lane.traffic
        self._lane = lane
        self._step_s = traffic.step_s
        self._steps = len(traffic.frames)
        self._ids = [each.id for each in scenario.classes]
        self.frame = np.array([frame_bytes(each) for each in scenario.classes], np.float64)
        self._queues = Queues(
            drain=float(scenario.drain_bytes_per_s),
            share=[each.guaranteed_share for each in scenario.classes],
            frame_bytes=self.frame.tolist(),
            limit=[each.floor_bytes for each in scenario.classes],
            step_s=self._step_s,
        )
        kinds = [each.kind for each in scenario.classes]
        self._bulk_column = kinds.index("bulk") if "bulk" in kinds else -1
        self._bulk = Bulk(lane.seed, BULK_FLOWS, lane.base_rtt_s, self._step_s) if "bulk" in kinds else None
        self._eye = Eye(self._ids, self.frame.tolist())
        self._pending: deque[tuple[int, list[float]]] = deque()
        self._dropped = np.zeros(len(kinds))
        self.tally = Tally(len(kinds), self._step_s, warm_up_s)
        self._keep_points = keep_points
        self.points: list[tuple[Floats, Floats, Floats]] = []
        self._at = 0
        self._begin_stretch(np.zeros(len(kinds)))

    def advance(self, step: int) -> None:
        """Everything before this step has then happened."""
        while self._at < step:
            while self._pending and self._pending[0][0] <= self._at:
                self._queues.resize(self._pending.popleft()[1])
            until = min(step, self._first + len(self._arriving))
            if self._pending:
                until = min(until, self._pending[0][0])
            self._granted[self._at - self._first : until - self._first] = self._queues.limit
            self._span(until)
            if self._at == self._first + len(self._arriving):
                self._end_stretch()

    def control(self) -> None:
        """The policy looks, and what it answers is on its way."""
        now_ns = round(self._at * self._step_s * 1e9)
        queues = self._queues
        counters = Counters(self.arrived().tolist(), self._dropped.tolist(), queues.backlog, queues.limit)
        answer = self._lane.policy.limits(self._eye.look(now_ns, counters))
        if answer:
            self._order(answer)

    def arrived(self) -> Floats:
        """Bytes by class since the start."""
        row = self._at - self._first
        return self._offered_before + (self._offered[row - 1] if row else 0.0)

    def _order(self, answer: Mapping[int, int]) -> None:
        """What is on its way counts as the limit that an order changes."""
        ordered = self._pending[-1][1] if self._pending else self._queues.limit
        limits = list(ordered)
        for class_id, limit in answer.items():
            limits[self._ids.index(class_id)] = float(limit)
        if limits == ordered:
            return
        delay = round(self._lane.latency_s / self._step_s)
        if delay:
            self._pending.append((self._at + delay, limits))
        else:
            self._queues.resize(limits)

    def _begin_stretch(self, offered_before: Floats) -> None:
        self._first, self._offered_before = self._at, offered_before
        self._arriving = self._lane.traffic.frames[self._at : self._at + STRETCH_STEPS] * self.frame
        self._offered = np.cumsum(self._arriving, axis=0)
        self._served, self._lost = self._arriving.copy(), np.zeros_like(self._arriving)
        self._granted = np.empty_like(self._arriving)
        beyond = (self._arriving > np.array(self._queues.guaranteed)).any(axis=1)
        self._storms: list[int] = (np.flatnonzero(beyond) + self._first).tolist()

    def _end_stretch(self) -> None:
        accepted = self._arriving - self._lost
        self.tally.add(self._first * self._step_s, accepted, self._served, self._lost, self._granted)
        if self._keep_points:
            self._note(accepted - self._served)
        arrived = self.arrived()
        if self._at < self._steps:
            self._begin_stretch(arrived)

    def _span(self, until: int) -> None:
        """Limits do not change meanwhile."""
        queues, bulk = self._queues, self._bulk
        while self._at < until:
            if bulk is None and queues.rested():
                storm = bisect_left(self._storms, self._at)
                self._at = min(until, self._storms[storm]) if storm < len(self._storms) else until
            first = self._at
            rows: list[list[float]] = self._arriving[first - self._first : until - self._first].tolist()
            served: list[list[float]] = []
            lost: list[list[float]] = []
            for row in rows:
                if bulk is not None:
                    self._closed_loop(bulk, row)
                else:
                    queues.step(row)
                served.append(queues.served)
                lost.append(queues.dropped)
                self._at += 1
                if bulk is None and queues.rested():
                    break
            if served:
                self._record(first - self._first, rows, served, lost)

    def _closed_loop(self, bulk: Bulk, row: list[float]) -> None:
        """Flows send after what the queue told them; the row is completed in place for the record."""
        queues, column = self._queues, self._bulk_column
        waiting_s = queues.backlog[column] / self._lane.scenario.drain_bytes_per_s
        row[column] = bulk.send(self._at * self._step_s, waiting_s)
        queues.step(row)
        bulk.served(queues.dropped[column], queues.served[column], waiting_s)

    def _record(self, first: int, rows: list[list[float]], served: list[list[float]], lost: list[list[float]]) -> None:
        part = slice(first, first + len(served))
        self._served[part] = served
        gone = np.array(lost)
        if gone.any():
            self._lost[part] = gone
            self._dropped = self._dropped + gone.sum(axis=0)
        if self._bulk is not None:
            self._arriving[part] = rows
            before = self._offered[first - 1] if first else 0.0
            self._offered[part] = before + np.cumsum(self._arriving[part], axis=0)

    def _note(self, grown: Floats) -> None:
        every = max(1, round(SERIES_S / self._step_s))
        before = self.points[-1][1][-1] if self.points else 0.0
        backlog = before + np.cumsum(grown, axis=0)
        rows = np.arange(every - 1, len(grown), every)
        lost = np.add.reduceat(self._lost, np.arange(0, len(grown), every), axis=0)[: len(rows)]
        self.points.append((self._granted[rows], backlog[rows], lost))
