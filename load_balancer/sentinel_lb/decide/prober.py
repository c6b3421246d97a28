"""How often to probe, and when the prober itself may be believed: a prober that was held up proves nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MISSED: Final = 3
"""So many unanswered intervals are a failing probe; the kernel counts the same."""

ALONE_NS: Final = 1_000_000_000
"""So long nobody must answer before all are believed dead."""

PROBES_PER_S: Final = 40_000

MARGIN: Final = 1.25
MOST_NS: Final = 350_000_000
"""Longer no answer is waited for, and a longer gap was an absence, from which nothing is learned."""

HALF_LIFE_NS: Final = 10_000_000_000


def period_ns(wanted_millis: int, backends: int) -> int:
    """As wanted, or slower where there are so many backends that it would be too many probes."""
    return max(wanted_millis * 1_000_000, backends * 1_000_000_000 // PROBES_PER_S)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an answer may take where answers lately took long: on a network that loses and delays, three intervals
    without one are nothing special. The second longest gap counts, for one alone may be a pause of this machine."""

    longest_ns: float = 0.0
    second_ns: float = 0.0

    def after(self, gap_ns: int, elapsed_ns: int) -> Patience:
        """`gap_ns` is the longest between two answers of one node that ended in the time elapsed; long ones fade by
        halves."""
        faded = 0.5 ** (elapsed_ns / HALF_LIFE_NS)
        known = (self.longest_ns * faded, self.second_ns * faded, float(gap_ns) if gap_ns <= MOST_NS else 0.0)
        _, second_ns, longest_ns = sorted(known)
        return Patience(longest_ns, second_ns)

    def period_ns(self, wanted_ns: int) -> int:
        """What the kernel is told, which counts so many unanswered ones."""
        return max(wanted_ns, int(min(MARGIN * self.second_ns, MOST_NS) / MISSED))


@dataclass(frozen=True, slots=True)
class Rhythm:
    """`steady` counts the rounds since the last one that came late."""

    sent_ns: int = 0
    steady: int = 0

    def after(self, now_ns: int, period_ns: int) -> Rhythm:
        """A round went out now. After a late one the answers to it must have had their time before anyone is judged."""
        late = now_ns - self.sent_ns > period_ns * 2
        return Rhythm(now_ns, 0 if late else self.steady + 1)

    def believed(self, now_ns: int, period_ns: int, newest_answer_ns: int) -> bool:
        """Only then is anybody judged, here and in the kernel; otherwise every backend counts as alive.

        `newest_answer_ns` is of whoever answered last: while nobody at all does, the fault is most likely our own (a
        busy machine, our link), until it lasts.
        """
        patience_ns = MISSED * period_ns
        if self.steady <= MISSED or now_ns - self.sent_ns > patience_ns:
            return False
        silent_ns = now_ns - newest_answer_ns
        return silent_ns <= patience_ns or (silent_ns > ALONE_NS and self.steady * period_ns > ALONE_NS)
