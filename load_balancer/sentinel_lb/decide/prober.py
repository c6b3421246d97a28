"""How often to probe, and when the prober itself may be believed: a prober that was held up proves nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MISSED: Final = 3
"""So many unanswered intervals are a failing probe; the kernel counts the same."""

PROBES_PER_S: Final = 40_000


def period_ns(wanted_millis: int, backends: int) -> int:
    """As wanted, or slower where there are so many backends that it would be too many probes."""
    return max(wanted_millis * 1_000_000, backends * 1_000_000_000 // PROBES_PER_S)


@dataclass(frozen=True, slots=True)
class Rhythm:
    """`steady` counts the rounds since the last one that came late."""

    sent_ns: int = 0
    steady: int = 0

    def after(self, now_ns: int, period_ns: int) -> Rhythm:
        """A round went out now. After a late one the answers to it must have had their time before anyone is judged."""
        late = now_ns - self.sent_ns > period_ns * 2
        return Rhythm(now_ns, 0 if late else self.steady + 1)

    @property
    def trusted(self) -> bool:
        """Only then is the heartbeat told to the kernel; without one every backend counts as alive."""
        return self.steady > MISSED
