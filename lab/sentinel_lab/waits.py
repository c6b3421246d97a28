"""How long the bystander waits while packets of other classes stand in the queue beside it, and while none do.

A rule that holds a burst has packets standing for longer than one that throws them away, so more of the bystander's
packets meet them. Told apart, one sees whether each of them waits longer, or only more of them wait.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from sentinel_bpf.buffer.port import sojourn_quantile_us

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from sentinel_lab.history import History
    from sentinel_lab.scenario import Scenario

    Counts = NDArray[np.int64]

FRAME_BYTES: Final = 1514
"""Less than that is the packet that is being sent."""


def beside(scenario: Scenario, history: History) -> dict[str, list[int]]:
    """Histograms as the kernel's: `standing` of the looks at which other classes had a frame waiting at either end,
    `clear` of the rest; empty where nothing was timed."""
    own = scenario.named(scenario.beside).id
    ticks = history.of(own)
    backlogs = [history.series(each.id, "backlog_bytes") for each in scenario.classes if each.id != own]
    looks = min(len(ticks), *map(len, backlogs))
    if looks < 2 or not ticks[0].sojourn:
        return {}
    gained = np.diff(np.array([tick.sojourn for tick in ticks[:looks]], np.int64), axis=0)
    others = np.sum([each[:looks] for each in backlogs], axis=0)
    stood = np.maximum(others[:-1], others[1:]) >= FRAME_BYTES
    return {"standing": _trimmed(gained[stood].sum(axis=0)), "clear": _trimmed(gained[~stood].sum(axis=0))}


def together(rows: Sequence[Mapping[str, Sequence[int]]]) -> dict[str, float]:
    """Of several runs: quantiles in microseconds of both, and which share of the packets met something standing."""
    found: dict[str, float] = {}
    sums = {name: _added([row[name] for row in rows]) for name in ("standing", "clear")}
    for name, counts in sums.items():
        if counts.sum():
            found |= {f"{name}_us_p{level}": sojourn_quantile_us(counts.tolist(), level / 100) for level in (50, 99)}
    packets = sum(int(counts.sum()) for counts in sums.values())
    if packets:
        found["standing_percent"] = 100 * int(sums["standing"].sum()) / packets
    return found


def _trimmed(counts: Counts) -> list[int]:
    trimmed: list[int] = np.trim_zeros(counts, "b").tolist()
    return trimmed


def _added(histograms: Sequence[Sequence[int]]) -> Counts:
    total = np.zeros(max(map(len, histograms), default=0), np.int64)
    for each in histograms:
        total[: len(each)] += np.array(each, np.int64)
    return total
