"""When a beat is overdue: pure, and patient with whoever was unpunctual lately.

The threshold is the longest gap that a node's beats lately had, with a margin, and never below a few periods: on a
quiet machine a death is noticed within them, and a node that is starved of CPU teaches its watchers patience by its
first gaps. The longest gap is forgotten by halves. A mean and a deviation, as in the usual accrual detectors, would be
learned from many gaps and miss the few long ones, which are the ones that count.

All times are of a clock that stands still while the watcher itself does not run; see `watch.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PERIOD_NS: Final = 20_000_000
"""A beat is some 50 bytes on the wire, to balancers only."""

LEAST_PERIODS: Final = 3.5
"""Two beats may be lost or late. With the third 70 to 90 ms have gone by since the node was last well."""

MARGIN: Final = 1.25
HALF_LIFE_NS: Final = 3_000_000_000
MOST_NS: Final = 350_000_000
"""As late as a state may be: with beats a death is never noticed later than without."""


@dataclass(frozen=True, slots=True)
class Tuning:
    """How patient a watcher is; what is compared when curves are drawn."""

    least_periods: float = LEAST_PERIODS
    margin: float = MARGIN


USUAL: Final = Tuning()


@dataclass(frozen=True, slots=True)
class Rhythm:
    """What is known of a node's beats."""

    period_ns: int
    last_ns: int
    longest_ns: float = 0.0

    def patience_ns(self, tuning: Tuning = USUAL) -> float:
        """How long after a beat the next one is overdue."""
        least_ns = tuning.least_periods * self.period_ns
        return max(least_ns, min(tuning.margin * self.longest_ns, float(MOST_NS)))

    def overdue(self, now_ns: int, tuning: Tuning = USUAL) -> bool:
        return now_ns - self.last_ns > self.patience_ns(tuning)


def beaten(before: Rhythm | None, period_ns: int, now_ns: int) -> Rhythm:
    """The rhythm after a beat that was heard now and promised the next one after `period_ns`.

    A gap longer than patience ever grows was no unpunctuality: the node was away, and nothing is learned from it.
    """
    if before is None:
        return Rhythm(period_ns, now_ns)
    gap_ns = now_ns - before.last_ns
    if gap_ns > MOST_NS:
        return Rhythm(period_ns, now_ns, before.longest_ns)
    faded_ns = before.longest_ns * 0.5 ** (gap_ns / HALF_LIFE_NS)
    return Rhythm(period_ns, now_ns, max(faded_ns, float(gap_ns)))
