"""The simulator beside the testbed: the same plan in both, and how far apart their drops and delays are.

    python -m sentinel_lab.sim.validation TRACE.csv.gz > docs/benchmarks/data/validation.json
    python -m sentinel_lab.sim.validation --bulk > docs/benchmarks/data/validation-bulk.json

Nothing here is fitted: the simulator's constants are those of the kernel's configuration. A run in which the machine
was too busy to send on time is no reference and is taken again.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sentinel_lab import seasoning
from sentinel_lab.experiment import Plan, carried_out
from sentinel_lab.policies import NEEDS_TRUTH, made
from sentinel_lab.report import machine
from sentinel_lab.scenario import MIXED, SINGLE
from sentinel_lab.sim.run import Lane, Result, simulate
from sentinel_lab.sim.traffic import Traffic, of_lives

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sentinel_lab.experiment import Run
    from sentinel_lab.policies import Policy

STEP_S: Final = 0.0005
TAIL_S: Final = 4.0
"""For what stands in the queue when the last packet has been sent."""

DROPS_RELATIVE: Final = 0.10
DROPS_POINTS: Final = 0.2
SOJOURN_RELATIVE: Final = 0.15
SOJOURN_FLOOR_MS: Final = 0.2
"""Waits below this are the kernel's timers and the reading of its clock, which no queue model has."""

LATE_PACKETS: Final = 75
"""Seven milliseconds of a burst. The schedule is the reference's own truth only if it was kept."""
ATTEMPTS: Final = 4

PATTERNS: Final = (
    ("periodic", "static-small", 8.0),
    ("microburst", "static-small", 10.0),
    ("flash", "static-small", 10.0),
    ("random", "reactive-10ms", 12.0),
    ("precursor", "static-large", 13.0),
)
TRACE_SECONDS: Final = 20.0
ROUND_TRIPS_MS: Final = (0.0, 20.0)
SHARED_POLICIES: Final = ("static-small", "static-large", "reactive-10ms")
TRACE_POLICIES: Final = ("static-small", "reactive-10ms")


@dataclass(frozen=True, slots=True)
class Comparison:
    """Of one class; times are of the kernel's histogram, and of ours folded into its buckets."""

    pattern: str
    policy: str
    round_trip_ms: float
    of: str
    seconds: float
    sent: int
    drop_percent: float
    simulated_drop_percent: float
    sojourn_ms_p99: float
    simulated_sojourn_ms_p99: float
    late_packets: float

    @property
    def drops_agree(self) -> bool:
        apart = abs(self.drop_percent - self.simulated_drop_percent)
        return apart <= DROPS_POINTS or apart <= DROPS_RELATIVE * self.drop_percent

    @property
    def sojourns_agree(self) -> bool:
        apart = abs(self.sojourn_ms_p99 - self.simulated_sojourn_ms_p99)
        return apart <= SOJOURN_FLOOR_MS or apart <= SOJOURN_RELATIVE * self.sojourn_ms_p99


def shared() -> list[Plan]:
    """Beside real TCP; reported, and not asked to agree."""
    return [
        Plan(MIXED, "scheduled", policy, TRACE_SECONDS, seed=1, round_trip_ms=each)
        for each in ROUND_TRIPS_MS
        for policy in SHARED_POLICIES
    ]


class Unfit(Exception):
    """The machine could not carry the plan out as it stands, so there is nothing to compare with."""


def plans(trace: Path | None) -> list[Plan]:
    found = [Plan(SINGLE, pattern, policy, seconds, seed=3) for pattern, policy, seconds in PATTERNS]
    if trace is not None:
        found += [Plan(SINGLE, f"trace:{trace}", policy, TRACE_SECONDS) for policy in TRACE_POLICIES]
    return found


def compared(plan: Plan) -> Comparison:
    """Of the class that bursts."""
    return side_by_side(plan)[0]


def side_by_side(plan: Plan) -> list[Comparison]:
    """Bursty class first, and bulk where there is any. Blocks for some times the plan's length; raises `Unfit` when no
    attempt was a reference."""
    why: Sequence[str] = ()
    for _ in range(ATTEMPTS):
        run = carried_out(plan)
        late = late_packets(run)
        why = run.dirt or ((f"{late:.0f} packets were late",) if late > LATE_PACKETS else ())
        if not why:
            result = simulated(plan)
            names = [each.name for each in plan.scenario.classes if each.name in (plan.scenario.bursty.name, "bulk")]
            return [_beside(run, result, late, name) for name in names]
    raise Unfit(f"{plan.pattern} under {plan.policy} was never carried out as planned: {'; '.join(why)}")


def simulated(plan: Plan) -> Result:
    """The same schedule as far after a look as there, and a learner's past before it."""
    lives = plan.lives()
    traffic = of_lives(plan.scenario, plan.pattern, lives, plan.seconds, STEP_S)
    lane = Lane(
        plan.scenario,
        _between(traffic, plan.phase_ns, 0.0 if plan.scenario.name == MIXED.name else TAIL_S),
        _seasoned(plan, lives),
        seed=plan.seed,
        base_rtt_s=max(STEP_S, plan.round_trip_ms / 1000),
    )
    return simulate([lane])[0]


def _seasoned(plan: Plan, lives: Sequence[seasoning.Life]) -> Policy:
    truth = seasoning.truth(plan.scenario, lives, plan.phase_ns) if plan.policy in NEEDS_TRUTH else None
    found = made(plan.policy, plan.scenario, truth)
    season = getattr(found, "season", None)
    if season is not None and plan.past_s:
        season(seasoning.samples(plan.scenario, lives, plan.phase_ns))
    return found


def _between(traffic: Traffic, head_ns: int, tail_s: float) -> Traffic:
    classes = traffic.frames.shape[1]
    head, tail = (np.zeros((round(each / STEP_S), classes), np.float32) for each in (head_ns / 1e9, tail_s))
    return replace(traffic, frames=np.concatenate([head, traffic.frames, tail]))


def late_packets(run: Run) -> float:
    """How far the arrivals were behind the schedule, as the node counted them; but for the worst hundredth of looks."""
    bursty = run.plan.scenario.bursty
    life = next(each for each in run.plan.lives() if each.of == bursty)
    at_s = run.history.seconds(bursty.id, run.start_ns)
    arrived = run.history.series(bursty.id, "arrived_packets")
    due = np.searchsorted(np.sort(np.concatenate([life.run.times_s, life.flood.times_s])), at_s)
    return float(np.quantile(due - (arrived - arrived[0]), 0.99)) if arrived.size else float("inf")


def _beside(run: Run, result: Result, late: float, name: str) -> Comparison:
    real, model = next(each for each in run.classes if each.name == name), result.figures[name]
    pattern = run.plan.pattern
    return Comparison(
        pattern=f"trace:{Path(pattern).name}" if pattern.startswith("trace:") else pattern,
        policy=run.plan.policy,
        round_trip_ms=run.plan.round_trip_ms,
        of=name,
        seconds=run.plan.seconds,
        sent=real.sent,
        drop_percent=real.drop_percent,
        simulated_drop_percent=100 * model.drop_share,
        sojourn_ms_p99=real.sojourn_ms_p99,
        simulated_sojourn_ms_p99=model.kernel_sojourn_ms(0.99),
        late_packets=late,
    )


def main(arguments: Sequence[str]) -> None:
    rows: list[dict[str, Any]] = []
    told = shared() if "--bulk" in arguments else plans(Path(arguments[0]) if arguments else None)
    for plan in told:
        sys.stderr.write(f"{plan.pattern} under {plan.policy}\n")
        try:
            found = side_by_side(plan)
        except Unfit as error:
            rows.append({"unfit": str(error)})
            continue
        rows += [asdict(each) | {"agrees": each.drops_agree and each.sojourns_agree} for each in found]
    sys.stdout.write(json.dumps({"bench": "validation", "machine": machine(), "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
