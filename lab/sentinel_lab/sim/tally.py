"""What is measured of a run: time in the queue of every byte that was served, what was lost, held and granted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from sentinel_bpf.buffer.port import sojourn_quantile_us

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

OCTAVES: Final = 32
PER_OCTAVE: Final = 16
BUCKETS: Final = OCTAVES * PER_OCTAVE
KERNEL_PER_OCTAVE: Final = 4
"""The kernel's histogram; ours is four times as fine and folds into it."""


@dataclass(frozen=True, slots=True, eq=False)
class Figures:
    """One class of one run, after the warm-up. Bytes that never left the queue are in nobody's histogram."""

    sent_bytes: float
    served_bytes: float
    dropped_bytes: float
    histogram: Floats
    held_mean: float
    held_peak: float
    granted_mean: float
    granted_peak: float

    @property
    def drop_share(self) -> float:
        return self.dropped_bytes / self.sent_bytes if self.sent_bytes else 0.0

    def sojourn_ms(self, quantile: float) -> float:
        return quantile_us(self.histogram, quantile) / 1000.0

    @property
    def mean_ms(self) -> float:
        """To a thirty-second of itself: every byte counts as the middle of its bucket."""
        total = float(self.histogram.sum())
        middles = np.array([(_bound(each) + _bound(each + 1)) / 2 for each in range(BUCKETS)])
        return float(self.histogram @ middles) / total / 1000.0 if total else 0.0

    def kernel_sojourn_ms(self, quantile: float) -> float:
        """As the testbed would have read it from the kernel's coarser buckets."""
        folded = self.histogram.reshape(-1, PER_OCTAVE // KERNEL_PER_OCTAVE).sum(axis=1)[:96]
        return sojourn_quantile_us(np.rint(folded).astype(np.int64).tolist(), quantile) / 1000.0


def buckets(waits_us: Floats) -> NDArray[np.int64]:
    within = np.clip(waits_us, 1.0, 2.0**OCTAVES - 1)
    octave = np.floor(np.log2(within))
    part = np.floor((within / 2.0**octave - 1.0) * PER_OCTAVE)
    found: NDArray[np.int64] = np.minimum(octave * PER_OCTAVE + part, BUCKETS - 1).astype(np.int64)
    return found


def quantile_us(histogram: Floats, quantile: float) -> float:
    total = histogram.sum()
    if total <= 0:
        return 0.0
    index = int(np.searchsorted(np.cumsum(histogram), quantile * total))
    index = min(index, BUCKETS - 1)
    before = float(histogram[:index].sum())
    low, high = _bound(index), _bound(index + 1)
    inside = (quantile * total - before) / float(histogram[index]) if histogram[index] > 0 else 0.0
    return low + (high - low) * min(max(inside, 0.0), 1.0)


def _bound(bucket: int) -> float:
    octave, part = divmod(bucket, PER_OCTAVE)
    return float(2.0**octave * (1.0 + part / PER_OCTAVE))


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    """What came in each quantum: when, at which byte of the class since the start, and how much."""

    at_s: Floats
    level: Floats
    weight: Floats

    def part(self, which: slice) -> _Waiting:
        return _Waiting(self.at_s[which], self.level[which], self.weight[which])

    def then(self, later: _Waiting) -> _Waiting:
        return _Waiting(
            np.concatenate([self.at_s, later.at_s]),
            np.concatenate([self.level, later.level]),
            np.concatenate([self.weight, later.weight]),
        )


class Tally:
    """Fed a stretch of steps at a time: [steps, classes]. Byte counts turn into waits through the two curves of what
    entered and what left, since each class is first in, first out."""

    def __init__(self, classes: int, step_s: float, from_s: float) -> None:
        self._step_s, self._from_s = step_s, from_s
        self._entered, self._left = np.zeros(classes), np.zeros(classes)
        self._waiting: dict[int, _Waiting] = {}
        self._histogram = np.zeros((classes, BUCKETS))
        self._sums = {name: np.zeros(classes) for name in ("sent", "served", "dropped", "held", "granted")}
        self._peaks = {name: np.zeros(classes) for name in ("held", "granted")}
        self._pool_peak = 0.0
        self._steps = 0

    def add(self, start_s: float, accepted: Floats, served: Floats, dropped: Floats, granted: Floats) -> None:
        entered = self._entered + np.cumsum(accepted, axis=0)
        left = self._left + np.cumsum(served, axis=0)
        self._times(start_s, accepted, entered, left)
        judged = max(0, min(len(accepted), round((self._from_s - start_s) / self._step_s)))
        if judged < len(accepted):
            self._count(
                accepted[judged:], served[judged:], dropped[judged:], granted[judged:], (entered - left)[judged:]
            )
        self._entered, self._left = entered[-1].copy(), left[-1].copy()

    def _count(self, accepted: Floats, served: Floats, dropped: Floats, granted: Floats, held: Floats) -> None:
        self._steps += len(accepted)
        for name, series in (("sent", accepted + dropped), ("served", served), ("dropped", dropped)):
            self._sums[name] += series.sum(axis=0)
        for name, series in (("held", held), ("granted", granted)):
            self._sums[name] += series.sum(axis=0)
            self._peaks[name] = np.maximum(self._peaks[name], series.max(axis=0))
        self._pool_peak = max(self._pool_peak, float(held.sum(axis=1).max()))

    def _times(self, start_s: float, accepted: Floats, entered: Floats, left: Floats) -> None:
        steps, classes = accepted.shape
        middle: Floats = start_s + (np.arange(steps, dtype=np.float64) + 0.5) * self._step_s
        edges = start_s + np.arange(steps + 1) * self._step_s
        for column in range(classes):
            mass = accepted[:, column]
            some = mass > 0
            queue = _Waiting(middle[some], entered[some, column] - mass[some] / 2, mass[some])
            before = self._waiting.pop(column, None)
            if before is not None:
                queue = before.then(queue)
            curve = np.concatenate([self._left[column : column + 1], left[:, column]])
            gone = int(np.searchsorted(queue.level, curve[-1], side="right"))
            if gone < len(queue.level):
                self._waiting[column] = queue.part(slice(gone, None))
            self._note(column, queue.part(slice(0, gone)), curve, edges)

    def _note(self, column: int, gone: _Waiting, curve: Floats, edges: Floats) -> None:
        judged = gone.at_s >= self._from_s
        waits_s = np.interp(gone.level[judged], curve, edges) - gone.at_s[judged]
        bucket = buckets(np.maximum(waits_s, 0.0) * 1e6)
        self._histogram[column] += np.bincount(bucket, gone.weight[judged], BUCKETS)

    def pool(self) -> tuple[float, float, float]:
        """Mean and peak of what all classes held together, and the mean of what all were granted."""
        steps = max(1, self._steps)
        return (
            float(self._sums["held"].sum() / steps),
            self._pool_peak,
            float(self._sums["granted"].sum() / steps),
        )

    def figures(self, column: int, frame_bytes: float) -> Figures:
        steps = max(1, self._steps)
        return Figures(
            sent_bytes=float(self._sums["sent"][column]),
            served_bytes=float(self._sums["served"][column]),
            dropped_bytes=float(self._sums["dropped"][column]),
            histogram=self._histogram[column] / frame_bytes,
            held_mean=float(self._sums["held"][column] / steps),
            held_peak=float(self._peaks["held"][column]),
            granted_mean=float(self._sums["granted"][column] / steps),
            granted_peak=float(self._peaks["granted"][column]),
        )
