"""What a node has been through before a run: the same traffic, earlier, as the samples its agent would have seen.

A predictor that learns needs minutes before it is believed. Sending those minutes for every sample of a comparison
would take days, so they are counted out instead of sent: the fluid of the schedule through a queue of the pool's size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sentinel_api.errors import Transient
from sentinel_api.records import CLASSES
from sentinel_core.sample import COUNTERS, GAUGES, PERIOD_NS, SOJOURNS, Sample, Valid
from sentinel_lab.policies.foresight import Burst, Slant, Truth
from sentinel_lab.traffic.patterns import Schedule, schedule

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from sentinel_lab.scenario import Scenario, TrafficClass

PERIOD_S = PERIOD_NS / 1e9
PAST_S = 300.0  # thirty periodic bursts; the product asks for ten alarms before it believes a forecast
PAST_SEED = 1_000_000
PAST, TRUTH, SLANT, START, SEASONED = "past.npy", "truth.json", "slant", "start", "seasoned"
"""Files by which a process of the agent is told (seasoned.py)."""

EMPTY = Schedule(np.zeros(0), ())


@dataclass(frozen=True, slots=True)
class Life:
    """One class's traffic: what is sent in the run, and what is only remembered from before it."""

    of: TrafficClass
    past_s: float
    past: Schedule
    run: Schedule
    flood: Schedule = EMPTY
    """SYNs beside the run's own packets; the past knows none."""

    def bursts(self, drain_bytes_per_s: float) -> Iterator[Burst]:
        for schedule_, shift_s in ((self.past, self.past_s), (self.run, 0.0)):
            for start_s, end_s in schedule_.bursts:
                first, last = np.searchsorted(schedule_.times_s, [start_s, end_s])
                surplus = int((last - first) * self.of.wire_bytes - (end_s - start_s) * drain_bytes_per_s)
                yield Burst(start_s=start_s - shift_s, end_s=end_s - shift_s, surplus_bytes=max(0, surplus))


def life(each: TrafficClass, pattern: str, seconds: float, seed: int, past_s: float = PAST_S) -> Life:
    """The past is of the same kind and of another seed, and a whole number of periods long; of a trace it is what comes
    before the part that is sent."""
    named = each.pattern or pattern
    past = schedule(named, past_s, seed + PAST_SEED, each.scale) if past_s else EMPTY
    flood = schedule(each.flood, seconds, seed) if each.flood else EMPTY
    return Life(each, past_s, past, schedule(named, seconds, seed, each.scale, past_s), flood)


def truth(scenario: Scenario, lives: Sequence[Life], start_ns: int) -> Truth:
    """For the predictors that are told, and nobody else."""
    bursts = {each.of.id: tuple(each.bursts(drain(scenario, each.of))) for each in lives}
    return Truth(start_ns=start_ns, bursts=bursts)


def drain(scenario: Scenario, each: TrafficClass) -> float:
    """What a class surely gets while its burst is queued: all of the link, or its share where bulk wants the rest."""
    greedy = sum(other.guaranteed_share for other in scenario.classes if other.kind == "bulk")
    return scenario.drain_bytes_per_s * (1.0 if not greedy else each.guaranteed_share)


def samples(scenario: Scenario, lives: Sequence[Life], start_ns: int) -> Iterator[Sample]:
    """The past, period by period, up to the start of the run."""
    past_s = max((each.past_s for each in lives), default=0.0)
    return fluid(
        scenario, [each.past for each in lives], [each.of for each in lives], past_s, start_ns - round(past_s * 1e9)
    )


def fluid(
    scenario: Scenario, schedules: Sequence[Schedule], classes: Sequence[TrafficClass], seconds: float, begin_ns: int
) -> Iterator[Sample]:
    """Schedules through a queue that holds the pool and empties at the class's rate; what does not fit is dropped."""
    steps = round(seconds / PERIOD_S)
    edges = np.arange(steps + 1) * PERIOD_S
    packets = [np.histogram(each.times_s, bins=edges)[0] for each in schedules]
    backlog = np.zeros(len(classes))
    for step in range(steps):
        rows: dict[int, dict[str, float]] = {}
        for index, each in enumerate(classes):
            came, rate = int(packets[index][step]), drain(scenario, each)
            left = max(0.0, backlog[index] + came * each.wire_bytes - rate * PERIOD_S)
            backlog[index] = min(float(scenario.pool_bytes), left)
            wait_us = backlog[index] / rate * 1e6
            rows[each.id] = {
                "packets": came,
                "bytes": came * each.wire_bytes,
                "drops": (left - backlog[index]) // each.wire_bytes,
                "backlog_bytes": backlog[index],
                "limit_bytes": scenario.pool_bytes,
            } | dict.fromkeys(SOJOURNS, wait_us)
        yield _sample(begin_ns + (step + 1) * PERIOD_NS, rows)


def prepare(folder: Path, past: Iterable[Sample], truth: Truth | None = None, slant: Slant | None = None) -> None:
    """Written by who carries the experiment out, before the process starts."""
    rows = [sample.rows() for sample in past]
    np.save(folder / PAST, np.stack(rows) if rows else np.zeros((0, 0)))
    if truth is not None and slant is not None:
        (folder / TRUTH).write_text(truth.model_dump_json())
        (folder / SLANT).write_text(slant.value)


def begin(folder: Path, start_ns: int) -> None:
    """Refuses a process that does not remember: its figures would be those of another policy."""
    if not (folder / SEASONED).exists():
        raise Transient("the agent did not take up its past: seasoned.py no longer fits it")
    whole = folder / (START + ".new")
    whole.write_text(str(start_ns))
    whole.rename(folder / START)  # at once, so that no half of it is read


def _sample(t_ns: int, rows: dict[int, dict[str, float]]) -> Sample:
    columns: dict[str, npt.NDArray[Any]] = {name: np.zeros(CLASSES, np.uint64) for name in (*COUNTERS, *GAUGES)}
    columns |= {name: np.zeros(CLASSES, np.uint32) for name in SOJOURNS}
    valid = np.zeros(CLASSES, np.uint8)
    for each, row in rows.items():
        for name, value in row.items():
            columns[name][each] = value
        valid[each] = Valid.COUNTERS | Valid.QUEUE | Valid.SOJOURN
    return Sample(t_ns=t_ns, period_ns=PERIOD_NS, valid=valid, **columns)
