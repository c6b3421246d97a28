"""How soon a death would be noticed, and how often a living node doubted, by how patient the watcher is.

Beats that were really heard are judged again by the product's rule with other settings: the same gaps for each of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sentinel_mesh.pulse import LEAST_PERIODS, MARGIN, PERIOD_NS, Tuning, beaten
from sentinel_mesh.watch import STEP_NS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

TUNINGS: Final = (
    *(Tuning(least, 0.0) for least in (2.5, 3.5, 5.0, 7.5, 10.0)),  # fixed: the longest gap teaches nothing
    *(Tuning(least, MARGIN) for least in (2.5, LEAST_PERIODS, 5.0)),
    Tuning(LEAST_PERIODS, 2.0),
)
PHASES: Final = np.linspace(0.0, 1.0, 21)
HOUR_NS: Final = 3600 * 10**9


CLOCKS: Final = ("wall", "watcher")


def curve(gaps: Sequence[Sequence[Sequence[int]]]) -> list[dict[str, Any]]:
    """A row for each clock and setting; `gaps` are nanoseconds between beats by each clock, a sequence for each pair of
    nodes."""
    return [
        {"what": "curve", "clock": clock} | _row(tuning, [[each[index] for each in pair] for pair in gaps])
        for index, clock in enumerate(CLOCKS)
        for tuning in TUNINGS
    ]


def _row(tuning: Tuning, gaps: Sequence[Iterable[int]]) -> dict[str, Any]:
    doubts, lived_ns, noticed_ms = 0, 0, []
    for each in gaps:
        rhythm, now_ns = beaten(None, PERIOD_NS, 0), 0
        for gap_ns in each:
            patience_ns = rhythm.patience_ns(tuning)
            # A death may come at any time between two beats; the watcher looks in steps.
            noticed_ms.append((patience_ns + STEP_NS / 2 - PHASES * PERIOD_NS) / 1e6)
            now_ns += gap_ns
            doubts += rhythm.overdue(now_ns, tuning)
            rhythm = beaten(rhythm, PERIOD_NS, now_ns)
        lived_ns += now_ns
    times_ms = np.concatenate(noticed_ms)
    return {
        "least_periods": tuning.least_periods,
        "margin": tuning.margin,
        "detect_p50_ms": float(np.percentile(times_ms, 50)),
        "detect_p99_ms": float(np.percentile(times_ms, 99)),
        "false_suspicions": doubts,
        "false_suspicions_per_hour": doubts * HOUR_NS / lived_ns,
    }
