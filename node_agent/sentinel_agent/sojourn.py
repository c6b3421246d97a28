"""Time in the queue of all classes at once: what growing histograms gained since the last look, as quantiles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from sentinel_bpf.buffer.port import sojourn_bounds_us

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from sentinel_bpf.buffer.port import Reading

    Counts = NDArray[np.int64]

QUANTILES: Final = (0.5, 0.95, 0.99)


TOLD_OCTAVES: Final = range(6, 21, 2)
"""Of microseconds: 64 µs to a second, each bound four times the one before."""
AN_OCTAVE: Final = 4
"""So many of the kernel's buckets."""


def told(counts: Sequence[int]) -> tuple[list[tuple[str, float]], float]:
    """For people: packets up to each of a few bounds in seconds and in all, and about how long all of them waited."""
    seen = np.concatenate([[0], np.cumsum(counts)])
    upto = [(str((1 << octave) / 1e6), float(seen[AN_OCTAVE * octave])) for octave in TOLD_OCTAVES]
    bounds = np.array(sojourn_bounds_us(len(counts) + 1))
    seconds = float((np.array(counts) * (bounds[:-1] + bounds[1:]) / 2e6).sum())
    return [*upto, ("+Inf", float(seen[-1]))], seconds


def histograms(readings: Mapping[int, Reading], buckets: int) -> Counts:
    """One row for each class of `readings`, in their order; zeros where the tier cannot measure it."""
    empty = (0,) * buckets
    return np.array([each.sojourn or empty for each in readings.values()], np.int64).reshape(-1, buckets)


def gained(now: Counts, before: Counts | None) -> Counts:
    """All of it where the earlier one is missing; rows that shrank were reset, and count from nothing."""
    if before is None or now.shape != before.shape:
        return now
    added = now - before
    reset = added.min(axis=1, initial=0) < 0
    return np.where(reset[:, None], now, added)


class Quantiles:
    """Interpolates within a bucket as if its packets were spread evenly over it."""

    def __init__(self, buckets: int) -> None:
        self._bounds = np.array(sojourn_bounds_us(buckets + 1))
        self._levels = np.array(QUANTILES)

    def of(self, counts: Counts) -> NDArray[np.uint32]:
        """Microseconds: a row for each row of `counts`, a column for each quantile; zeros where nothing was counted."""
        seen = counts.cumsum(axis=1)
        rank = seen[:, -1:] * self._levels
        # The first bucket with so many packets up to it; an empty one before it holds none of them.
        bucket = (seen[:, None, :] < np.maximum(rank, 1e-9)[:, :, None]).sum(axis=2)
        bucket = np.minimum(bucket, counts.shape[1] - 1)
        rows = np.arange(len(counts))[:, None]
        inside = counts[rows, bucket]
        part = (rank - (seen[rows, bucket] - inside)) / np.maximum(inside, 1)
        low, high = self._bounds[bucket], self._bounds[bucket + 1]
        found = np.where(inside > 0, low + (high - low) * part, 0.0)
        return np.rint(found).astype(np.uint32)
