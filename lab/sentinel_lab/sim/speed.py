"""How fast time passes here: simulated frames a CPU second, by how many runs stand side by side.

    python -m sentinel_lab.sim.speed > docs/benchmarks/data/sim_speed.json

CPU time of this one thread, so that a busy machine does not make the simulator look slower than it is.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from sentinel_lab.policies import made
from sentinel_lab.report import machine
from sentinel_lab.scenario import SINGLE
from sentinel_lab.sim.run import Lane, simulate
from sentinel_lab.sim.traffic import of_pattern

SECONDS = 10.0
STEP_S = 0.001
POLICY = "reactive-100ms"
SIDE_BY_SIDE = (1, 16, 64, 256)


def measured(lanes: int) -> dict[str, Any]:
    traffic = [of_pattern(SINGLE, "periodic", SECONDS, seed, STEP_S) for seed in range(min(lanes, 4))]
    runs = [Lane(SINGLE, traffic[index % len(traffic)], made(POLICY, SINGLE)) for index in range(lanes)]
    began_s = time.process_time()
    results = simulate(runs)
    spent_s = time.process_time() - began_s
    frames = sum(each.simulated_frames for each in results)
    return {
        "side_by_side": lanes,
        "policy": POLICY,
        "frames": round(frames),
        "cpu_s": round(spent_s, 3),
        "frames_per_cpu_s": round(frames / spent_s),
        "microseconds_per_step": round(1e6 * spent_s / (SECONDS / STEP_S), 1),
    }


def main() -> None:
    rows = [measured(lanes) for lanes in SIDE_BY_SIDE]
    sys.stdout.write(json.dumps({"bench": "sim_speed", "machine": machine(), "rows": rows}, indent=2) + "\n")


if __name__ == "__main__":
    main()
