"""How long the last ticks took, stage by stage: a ring that the tick writes and others read when they ask."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

STAGES: Final = ("observe", "predict", "decide", "act", "report", "learn")
KEPT: Final = 1024
"""Ticks: enough for a 99th percentile, and a hundred seconds."""


BOUNDS_S: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1)
"""Of the histogram: around the budget of 10 ms, up to the period."""
_BOUNDS_NS: Final = np.array([bound * 1e9 for bound in BOUNDS_S], np.int64)


class Timings:
    """`begin`, then `lap` after each stage. The tick's thread writes; a reader may see one tick half written."""

    def __init__(self) -> None:
        self._ring = np.zeros((KEPT, len(STAGES)), np.int64)
        self.spent_ns = np.zeros(len(STAGES), np.int64)
        """Since the start, by stage."""
        self.buckets = np.zeros(len(BOUNDS_S) + 1, np.int64)
        """Ticks by duration, since the start; the last one holds those beyond all bounds."""
        self.ticks = 0
        self._cpu_ns = np.zeros(KEPT, np.int64)
        self._cpu_since_ns = 0
        self._stage = 0
        self._since_ns = 0

    def begin(self) -> int:
        self._cpu_since_ns = time.thread_time_ns()
        self._stage, self._since_ns = 0, time.monotonic_ns()
        return self._since_ns

    def lap(self) -> None:
        now_ns = time.monotonic_ns()
        spent = now_ns - self._since_ns
        self._ring[self.ticks % KEPT, self._stage] = spent
        self.spent_ns[self._stage] += spent
        self._since_ns = now_ns
        self._stage += 1
        if self._stage == len(STAGES):
            whole = int(self._ring[self.ticks % KEPT].sum())
            self._cpu_ns[self.ticks % KEPT] = time.thread_time_ns() - self._cpu_since_ns
            self.buckets[np.searchsorted(_BOUNDS_NS, whole)] += 1
            self.ticks += 1

    def recent_ns(self) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
        """The last ticks, one row each."""
        return self._ring[: min(self.ticks, KEPT)].copy()

    def rows(self) -> list[list[int]]:
        """`/debug/ticks`: number of the tick, nanoseconds by stage, and those it had a CPU; the oldest first."""
        rows, ticks = self.recent_ns(), self.ticks
        order = range(max(0, ticks - len(rows)), ticks)
        return [[seq, *rows[seq % KEPT].tolist(), int(self._cpu_ns[seq % KEPT])] for seq in order]

    def told(self) -> Mapping[str, object]:
        """For people and for `sentinel bench tick`: microseconds of the last ticks, and each stage's share."""
        rows = self.recent_ns()
        if not len(rows):
            return {"ticks": 0}
        whole = rows.sum(axis=1)
        share = rows.sum(axis=0) / max(1, int(whole.sum()))
        return {
            "ticks": len(rows),
            "p50Micros": int(np.percentile(whole, 50)) // 1000,
            "p99Micros": int(np.percentile(whole, 99)) // 1000,
            "maxMicros": int(whole.max()) // 1000,
            "cpuP99Micros": int(np.percentile(self._cpu_ns[: len(rows)], 99)) // 1000,
            "stages": {
                name: {
                    "p50Micros": int(np.percentile(rows[:, i], 50)) // 1000,
                    "p99Micros": int(np.percentile(rows[:, i], 99)) // 1000,
                    "share": round(float(share[i]), 4),
                }
                for i, name in enumerate(STAGES)
            },
        }
