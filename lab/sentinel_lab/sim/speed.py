"""How fast time passes here: simulated frames a CPU second of one run alone, by policy and packet rate.

    python -m sentinel_lab.sim.speed > docs/benchmarks/data/sim_speed.json

CPU time of this one thread, so that a busy machine does not make the simulator look slower than it is.
"""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any

from sentinel_lab.policies import PRODUCT, made
from sentinel_lab.report import machine
from sentinel_lab.scenario import MIXED, SINGLE
from sentinel_lab.sim.run import Lane, simulate
from sentinel_lab.sim.traffic import of_pattern

if TYPE_CHECKING:
    from sentinel_lab.scenario import Scenario

SECONDS = 60.0
STEP_S = 0.001
TIMES = 10
"""What a policy costs, it costs a tick, and what the queues cost, a step: with more packets neither grows."""

RUNS = (
    (SINGLE, "static-large", 1),
    (SINGLE, "reactive-100ms", 1),
    (SINGLE, "reactive-10ms", 1),
    (SINGLE, PRODUCT, 1),
    (SINGLE, PRODUCT, TIMES),
    (MIXED, "reactive-10ms", 1),
    (MIXED, "reactive-10ms", TIMES),
)


def measured(scenario: Scenario, policy: str, times: int) -> dict[str, Any]:
    whole = scenario.times(times)
    traffic = of_pattern(whole, "periodic", SECONDS, 0, STEP_S)
    lane = Lane(whole, traffic, made(policy, whole))
    began_s = time.process_time()
    (result,) = simulate([lane])
    spent_s = time.process_time() - began_s
    return {
        "scenario": scenario.name,
        "policy": policy,
        "times_the_packets": times,
        "frames": round(result.simulated_frames),
        "cpu_s": round(spent_s, 3),
        "frames_per_cpu_s": round(result.simulated_frames / spent_s),
        "microseconds_per_step": round(1e6 * spent_s / (SECONDS / STEP_S), 2),
    }


def main() -> None:
    rows = [measured(*each) for each in RUNS]
    sys.stdout.write(json.dumps({"bench": "sim_speed", "machine": machine(), "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
