"""What one run came to, class by class and for the node: drops, delays and memory, never one without the others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sentinel_lab.sim.traffic import frame_bytes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sentinel_lab.history import History
    from sentinel_lab.scenario import Scenario, TrafficClass
    from sentinel_lab.traffic.run import Outcome

LONGEST_GAP_S = 0.5
"""As long as a lease: a controller that did not look for so long was starved, and nothing it did is its rule's work."""
LATE_SHARE = 0.2
"""More ticks of a rule than this that came a period late make it another, slower rule."""


@dataclass(frozen=True, slots=True)
class ClassResult:
    """Delay is end to end, from the sender's system call to the receiver's; sojourn is the kernel's own figure.

    Granted is the limit, which reserves nothing; held is what really stood in the queue. `fairness` is Jain's index
    over connections, where there are several.
    """

    name: str
    sent: int
    received: int
    dropped: int
    drop_percent: float
    goodput_bytes_per_s: float
    delay_ms_p50: float
    delay_ms_p95: float
    delay_ms_p99: float
    sojourn_ms_p50: float
    sojourn_ms_p95: float
    sojourn_ms_p99: float
    granted_bytes_mean: float
    granted_bytes_peak: float
    held_bytes_mean: float
    held_bytes_peak: float
    delay_ms_mean: float = 0.0
    fairness: float | None = None
    flood_sent: int = 0
    flood_received: int = 0
    """SYNs from nowhere; they are in `sent`, `received` and `dropped` as well."""

    @property
    def rightful_drop_percent(self) -> float:
        """Of what was no flood."""
        sent = self.sent - self.flood_sent
        return 100 * (sent - (self.received - self.flood_received)) / sent if sent else 0.0


@dataclass(frozen=True, slots=True)
class NodeResult:
    """All classes together; peaks of one instant, not the sum of each one's peak."""

    granted_bytes_mean: float
    granted_bytes_peak: float
    held_bytes_mean: float
    held_bytes_peak: float


def of(each: TrafficClass, seconds: float, history: History, outcome: Outcome) -> ClassResult:
    ticks = history.of(each.id)
    dropped = ticks[-1].drops if ticks else 0
    bulk = each.kind == "bulk"
    flood = outcome.flood_to(each.port)
    flood_sent, flood_received = (flood.sent, outcome.received.syns[each.port]) if flood else (0, 0)
    sent = (ticks[-1].arrived_packets if ticks else 0) if bulk else outcome.sent_to(each.port).sent + flood_sent
    rightful = 0 if bulk else int(outcome.to(each.port).size)
    received = sent - dropped if bulk else rightful + flood_received
    leaving = history.leaving_bytes_per_s(each.id, seconds) * each.packet_bytes / frame_bytes(each)
    delays = {q: 0.0 if bulk else outcome.delay_ms(each.port, q) for q in (0.5, 0.95, 0.99)}
    limits, backlogs = history.series(each.id, "limit_bytes"), history.series(each.id, "backlog_bytes")
    return ClassResult(
        name=each.name,
        sent=sent,
        received=received,
        dropped=dropped,
        drop_percent=100 * dropped / sent if sent else 0.0,
        goodput_bytes_per_s=leaving if bulk else rightful * each.packet_bytes / seconds,
        delay_ms_p50=delays[0.5],
        delay_ms_p95=delays[0.95],
        delay_ms_p99=delays[0.99],
        sojourn_ms_p50=history.sojourn_ms(each.id, 0.5),
        sojourn_ms_p95=history.sojourn_ms(each.id, 0.95),
        sojourn_ms_p99=history.sojourn_ms(each.id, 0.99),
        granted_bytes_mean=history.time_mean(each.id, "limit_bytes"),
        granted_bytes_peak=float(max(limits, default=0)),
        held_bytes_mean=history.time_mean(each.id, "backlog_bytes"),
        held_bytes_peak=float(max(backlogs, default=0)),
        delay_ms_mean=0.0 if bulk else outcome.mean_delay_ms(each.port),
        fairness=jain(outcome.tcp_served[each.port].bytes_by_connection) if bulk else None,
        flood_sent=flood_sent,
        flood_received=flood_received,
    )


def of_node(scenario: Scenario, history: History) -> NodeResult:
    found = {}
    for name in ("limit_bytes", "backlog_bytes"):
        series = [history.series(each.id, name) for each in scenario.classes]
        shortest = min(map(len, series))
        together = np.sum([each[:shortest] for each in series], axis=0)
        found[name] = (
            sum(history.time_mean(each.id, name) for each in scenario.classes),
            float(together.max(initial=0.0)),
        )
    return NodeResult(*found["limit_bytes"], *found["backlog_bytes"])


def jain(shares: Sequence[float]) -> float:
    """1 when all have the same, 1/n when one has it all."""
    values = np.asarray(shares, np.float64)
    square = float((values**2).sum())
    return float(values.sum() ** 2 / (values.size * square)) if square else 0.0


def starved(scenario: Scenario, history: History) -> list[str]:
    """What else the machine did must not decide a comparison: such a sample is refused, not averaged."""
    ticks = history.of(scenario.bursty.id)
    if len(ticks) < 2:
        return ["the controller never looked"]
    found = []
    gaps = np.diff([tick.at_ns for tick in ticks]) / 1e9
    gap_s = float(gaps.max())
    if gap_s > LONGEST_GAP_S + float(np.median(gaps)):
        found.append(f"the machine was too busy: the controller's watch stood still for {gap_s:.1f} s")
    if history.late_ticks > LATE_SHARE * len(ticks):
        found.append(f"the machine was too busy: {history.late_ticks} of {len(ticks)} ticks were a period late")
    return found
