"""What an interface carries: a mean over the last seconds, for one period says nothing where traffic bursts.

Who adds nodes divides by it, and reads it once in ten seconds: of traffic that comes in a tenth of all periods, one
period would be ten times too much once and nothing nine times.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Final

from sentinel_core.sample import Valid

if TYPE_CHECKING:
    from sentinel_core.sample import Sample

LEAST_S: Final = 10
MOST_S: Final = 60
"""Who reports less often than once a minute tells the last minute: older traffic says little of what to carry now."""
KEPT: Final = 1024
"""Samples: more than a minute of periods."""
COUNTED: Final = int(Valid.COUNTERS)


class Carried:
    """`step` once a tick, which takes no memory; `bps` is the mean of the last `over` seconds, or of what there was."""

    def __init__(self) -> None:
        self._span_ns = 0
        self._ended_ns = array("q", bytes(8 * KEPT))
        self._took_ns = array("q", bytes(8 * KEPT))
        self._bytes = array("q", bytes(8 * KEPT))
        self._first = self._next = 0
        self._total_ns = self._total_bytes = 0
        self.over(LEAST_S)

    def over(self, seconds: int) -> None:
        """From the next step on."""
        self._span_ns = min(max(seconds, LEAST_S), MOST_S) * 10**9

    @property
    def bps(self) -> float:
        return self._total_bytes * 1e9 / self._total_ns if self._total_ns else 0.0

    def step(self, sample: Sample) -> None:
        """A period in which some class was not counted is as if it had not been: nobody knows what came."""
        while self._first < self._next and self._outlived(sample.t_ns):
            self._forget()
        if not (sample.valid & COUNTED).all():
            return
        at = self._next % KEPT
        came = int(sample.bytes.sum())
        self._ended_ns[at], self._took_ns[at], self._bytes[at] = sample.t_ns, sample.period_ns, came
        self._total_ns += sample.period_ns
        self._total_bytes += came
        self._next += 1

    def _outlived(self, now_ns: int) -> bool:
        """It ended before the span began, or its place is needed."""
        return self._ended_ns[self._first % KEPT] <= now_ns - self._span_ns or self._next - self._first == KEPT

    def _forget(self) -> None:
        at = self._first % KEPT
        self._total_ns -= self._took_ns[at]
        self._total_bytes -= self._bytes[at]
        self._first += 1
