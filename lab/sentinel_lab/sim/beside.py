"""The simulator beside samples that the testbed took: every clean row of a stored comparison and one of its policies.

    python -m sentinel_lab.sim.beside --policy P docs/benchmarks/data/burst.json > validation-stored-P.json

Nothing is sent and nothing was fitted. A row says when its first packet was due after a look of its policy, so that
rules which look ten times a second can be compared run by run, too.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sentinel_lab.experiment import Plan
from sentinel_lab.report import machine
from sentinel_lab.scenario import SCENARIOS
from sentinel_lab.sim.validation import Comparison, simulated

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NAMED: Final = frozenset({"bursty", "cache"})
"""The classes that their scenarios are about."""


def plan_of(row: Mapping[str, Any]) -> Plan:
    scenario = SCENARIOS[row["scenario"]].with_drain(row["drain_bytes_per_s"]).with_pool(row["pool_bytes"])
    return Plan(
        scenario.with_floor(row["floor_bytes"]), row["pattern"], row["policy"], row["seconds"], row["seed"],
        row["past_seconds"], row.get("round_trip_ms", 0.0),
    )  # fmt: skip


def compared(row: Mapping[str, Any]) -> dict[str, Any]:
    """Of the class that bursts."""
    plan = plan_of(row)
    real = next(each for each in row["classes"] if each["name"] in NAMED)
    model = simulated(plan).figures[real["name"]]
    found = Comparison(
        pattern=row["name"],
        policy=row["policy"],
        round_trip_ms=plan.round_trip_ms,
        of=real["name"],
        seconds=row["seconds"],
        sent=real["sent"],
        drop_percent=real["drop_percent"],
        simulated_drop_percent=100 * model.drop_share,
        sojourn_ms_p99=real["sojourn_ms_p99"],
        simulated_sojourn_ms_p99=model.kernel_sojourn_ms(0.99),
        late_packets=0.0,
    )
    told = {name: getattr(found, name) for name in Comparison.__dataclass_fields__ if name != "late_packets"}
    return told | {
        "seed": row["seed"],
        "pool_bytes": row["pool_bytes"],
        "drops_agree": found.drops_agree,
        "sojourns_agree": found.sojourns_agree,
    }


def main(arguments: Sequence[str]) -> None:
    asked = argparse.ArgumentParser(prog="sentinel_lab.sim.beside")
    asked.add_argument("--policy", required=True)
    asked.add_argument("files", nargs="+", type=Path)
    told = asked.parse_args(arguments)
    stored = [row for each in told.files for row in json.loads(each.read_text())["rows"]]
    rows = [compared(row) for row in stored if row["policy"] == told.policy and not row["dirt"]]
    sys.stdout.write(json.dumps({"bench": "validation", "machine": machine(), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
