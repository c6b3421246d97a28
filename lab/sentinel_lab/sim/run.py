"""Many runs side by side in virtual time: traffic into queues, what was seen to policies, limits back after a delay."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from sentinel_api.errors import Invalid
from sentinel_lab.sim.bulk import Bulk
from sentinel_lab.sim.queue import Queues
from sentinel_lab.sim.tally import Figures, Tally
from sentinel_lab.sim.traffic import BASE_RTT_S, BULK_FLOWS, frame_bytes
from sentinel_lab.sim.view import Counters, Eye

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from sentinel_lab.policies import Policy
    from sentinel_lab.scenario import Scenario
    from sentinel_lab.sim.traffic import Traffic

    Floats = NDArray[np.float64]

STRETCH_STEPS: Final = 2_000
SERIES_S: Final = 0.02
"""Distance of the points kept for plots."""


@dataclass(frozen=True, slots=True, eq=False)
class Lane:
    """One run. `latency_s` passes between a policy's answer and the queue obeying it."""

    scenario: Scenario
    traffic: Traffic
    policy: Policy
    latency_s: float = 0.0
    seed: int = 0
    base_rtt_s: float = BASE_RTT_S


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """For plots: limit and backlog at points, drops since the point before, each [points, classes]."""

    at_s: Floats
    limit: Floats
    backlog: Floats
    dropped: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    figures: Mapping[str, Figures]
    pool_held_mean: float
    pool_held_peak: float
    pool_granted_mean: float
    simulated_frames: float
    series: Series | None


def simulate(lanes: Sequence[Lane], warm_up_s: float = 0.0, series: bool = False) -> list[Result]:
    """Figures of what comes after the warm-up, one result a lane, in order."""
    return _Run(lanes, warm_up_s, series).results()


class _Run:
    def __init__(self, lanes: Sequence[Lane], warm_up_s: float, series: bool) -> None:
        first = lanes[0]
        if any(_shape(each) != _shape(first) for each in lanes):
            raise Invalid("runs side by side need the same steps and the same classes: simulate the others apart")
        self._lanes = lanes
        self._step_s = first.traffic.step_s
        self._steps = len(first.traffic.frames)
        if warm_up_s >= self._steps * self._step_s:
            raise Invalid("the warm-up must be shorter than the run")
        self._frame = np.array([frame_bytes(each) for each in first.scenario.classes], np.float64)
        self._ids = [each.id for each in first.scenario.classes]
        self._eyes = [Eye(self._ids, self._frame) for _ in lanes]
        self._queues = _queues(lanes, self._step_s, self._frame)
        self._bulk_column, self._bulk = _bulk(lanes, self._step_s)
        self._drain = np.array([each.scenario.drain_bytes_per_s for each in lanes], np.float64)
        shape = (len(self._frame), len(lanes))
        self._arrived, self._served, self._dropped = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        self._due = _periods(lanes, self._step_s)
        self._pending: dict[int, list[tuple[int, Floats]]] = defaultdict(list)
        self._last_order: dict[int, Floats] = {}
        self._tally = Tally(*shape, self._step_s, warm_up_s)
        self._keep_series = series
        self._points: list[tuple[Floats, Floats, Floats]] = []

    def results(self) -> list[Result]:
        for start in range(0, self._steps, STRETCH_STEPS):
            self._stretch(start, min(start + STRETCH_STEPS, self._steps))
        return [self._result(index, lane) for index, lane in enumerate(self._lanes)]

    def _stretch(self, start: int, end: int) -> None:
        arriving = self._offered(start, end)
        accepted, served, dropped, granted = (np.empty_like(arriving) for _ in range(4))
        queues = self._queues
        for row, step in enumerate(range(start, end)):
            for period, members in self._due:
                if step % period == 0 and step:
                    self._control(step, members)
            for lane, limits in self._pending.pop(step, ()):
                queues.resize(lane, limits)
            if self._bulk is not None:
                self._closed_loop(arriving[row], step)
            else:
                queues.step(arriving[row])
            accepted[row], served[row], dropped[row], granted[row] = (
                queues.accepted, queues.served, queues.dropped, queues.limit,
            )  # fmt: skip
            self._arrived += arriving[row]
            self._served += queues.served
            self._dropped += queues.dropped
        self._tally.add(start * self._step_s, accepted, served, dropped, granted)
        if self._keep_series:
            self._note(granted, accepted - served, dropped)

    def _offered(self, start: int, end: int) -> Floats:
        """Lanes often share their traffic, so it is looked up once for each."""
        found = np.empty((end - start, len(self._frame), len(self._lanes)))
        known: dict[int, Floats] = {}
        for index, lane in enumerate(self._lanes):
            key = id(lane.traffic)
            if key not in known:
                known[key] = lane.traffic.frames[start:end] * self._frame
            found[:, :, index] = known[key]
        return found

    def _closed_loop(self, arriving: Floats, step: int) -> None:
        """Flows send after what the queue told them; `arriving` is completed in place for the record."""
        queues, bulk, column = self._queues, self._bulk, self._bulk_column
        assert bulk is not None
        waiting = queues.backlog[column] / self._drain
        arriving[column] = bulk.send(step * self._step_s, waiting)
        queues.step(arriving)
        bulk.served(queues.dropped[column], queues.served[column], waiting)

    def _control(self, step: int, members: Sequence[int]) -> None:
        now_ns = round(step * self._step_s * 1e9)
        for lane in members:
            counters = Counters(
                self._arrived[:, lane],
                self._served[:, lane],
                self._dropped[:, lane],
                self._queues.backlog[:, lane],
                self._queues.limit[:, lane],
            )
            answer = self._lanes[lane].policy.limits(self._eyes[lane].look(now_ns, counters))
            if answer:
                self._order(step, lane, answer)

    def _order(self, step: int, lane: int, answer: Mapping[int, int]) -> None:
        """What is on its way counts as the limit that an order changes."""
        ordered = self._ordered(lane)
        limits = ordered.copy()
        for class_id, limit in answer.items():
            limits[self._ids.index(class_id)] = limit
        if (limits == ordered).all():
            return
        delay = round(self._lanes[lane].latency_s / self._step_s)
        if delay == 0:
            self._queues.resize(lane, limits)
            return
        self._last_order[lane] = limits
        self._pending[step + delay].append((lane, limits))

    def _ordered(self, lane: int) -> Floats:
        if lane in self._last_order and self._lanes[lane].latency_s:
            return self._last_order[lane]
        found: Floats = self._queues.limit[:, lane]
        return found

    def _note(self, granted: Floats, grown: Floats, dropped: Floats) -> None:
        every = max(1, round(SERIES_S / self._step_s))
        before = self._points[-1][1][-1] if self._points else 0.0
        backlog = before + np.cumsum(grown, axis=0)
        rows = np.arange(every - 1, len(granted), every)
        lost = np.add.reduceat(dropped, np.arange(0, len(granted), every), axis=0)[: len(rows)]
        self._points.append((granted[rows], backlog[rows], lost))

    def _result(self, index: int, lane: Lane) -> Result:
        mean, peak, granted = self._tally.pool(index)
        return Result(
            figures={
                each.name: self._tally.figures(index, column, frame_bytes(each))
                for column, each in enumerate(lane.scenario.classes)
            },
            pool_held_mean=mean,
            pool_held_peak=peak,
            pool_granted_mean=granted,
            simulated_frames=float((self._arrived[:, index] / self._frame).sum()),
            series=self._series(index) if self._keep_series else None,
        )

    def _series(self, index: int) -> Series:
        limit, backlog, dropped = (
            np.concatenate([stretch[part][:, :, index] for stretch in self._points]) for part in range(3)
        )
        at_s: Floats = (np.arange(len(limit), dtype=np.float64) + 1) * SERIES_S
        return Series(at_s, limit, backlog, dropped)


def _shape(lane: Lane) -> tuple[float, int, float, tuple[tuple[int, int, str], ...]]:
    classes = tuple((each.id, each.packet_bytes, each.kind) for each in lane.scenario.classes)
    return lane.traffic.step_s, len(lane.traffic.frames), lane.base_rtt_s, classes


def _queues(lanes: Sequence[Lane], step_s: float, frame: Floats) -> Queues:
    classes = [lane.scenario.classes for lane in lanes]
    return Queues(
        drain=np.array([each.scenario.drain_bytes_per_s for each in lanes], np.float64),
        share=np.array([[one.guaranteed_share for one in mine] for mine in classes]).T,
        frame_bytes=frame,
        limit=np.array([[one.floor_bytes for one in mine] for mine in classes], np.float64).T.copy(),
        step_s=step_s,
    )


def _bulk(lanes: Sequence[Lane], step_s: float) -> tuple[int, Bulk | None]:
    kinds = [each.kind for each in lanes[0].scenario.classes]
    if "bulk" not in kinds:
        return 0, None
    if kinds.count("bulk") > 1:
        raise Invalid("one class of bulk flows can be simulated at a time: put the flows into one class")
    return kinds.index("bulk"), Bulk([each.seed for each in lanes], BULK_FLOWS, lanes[0].base_rtt_s, step_s)


def _periods(lanes: Sequence[Lane], step_s: float) -> list[tuple[int, list[int]]]:
    groups: dict[int, list[int]] = defaultdict(list)
    for index, each in enumerate(lanes):
        groups[max(1, round(each.policy.period_s / step_s))].append(index)
    return sorted(groups.items())
