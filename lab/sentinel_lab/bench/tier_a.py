"""Tier A's figures from a kernel that has it: the VM lane runs its own tests there, which tell what they measured.

The guest is emulated, so that no time of it means anything: only ratios of two times taken in turns, and counts.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING, Final

from sentinel_api.errors import Unsupported
from sentinel_lab.dataplane import OBJECT

if TYPE_CHECKING:
    from pathlib import Path

TREE: Final = OBJECT.parents[2]
LANE: Final = TREE / "tools" / "vm" / "run"
FEATURE: Final = "qdisc_bpf"
METRICS: Final = ("tier_a_vs_b_resize_ratio", "tier_a_vs_b_resize_16_ratio", "tier_a_lost")
MEASURED_BY: Final = (
    "tests/vm/inside/test_qdisc.py::test_growing_and_shrinking_under_load_lose_nothing_that_stands_in_the_queue",
    "tests/vm/inside/test_qdisc_life.py::test_a_limit_moves_faster_than_by_netlink",
)
PATIENCE_S: Final = 900


def figures(lane: Path = LANE) -> dict[str, float]:
    """By metric. Unsupported, with the lane's own words, where it cannot run."""
    if not lane.exists():
        raise Unsupported("The VM lane is not here; run the benchmark in a checkout.")
    asked = [sys.executable, str(lane), "--kernel", _kernel(lane), "--timeout", str(PATIENCE_S), *MEASURED_BY]
    ran = subprocess.run(asked, capture_output=True, text=True, check=False)
    if ran.returncode:
        last = (ran.stdout + ran.stderr).strip().splitlines()[-1:]
        raise Unsupported(f"The VM lane could not run; `make vm` says more. ({' '.join(last)})")
    return read(ran.stdout)


def read(said: str) -> dict[str, float]:
    """Out of the lane's table, a name and its value a line."""
    rows = [line.split() for line in said.splitlines()]
    found = {words[0]: float(words[1]) for words in rows if len(words) == 2 and words[0] in METRICS}
    if missing := set(METRICS) - found.keys():
        raise Unsupported(f"The VM lane ran, but told nothing of {', '.join(sorted(missing))}.")
    return found


def _kernel(lane: Path) -> str:
    known: dict[str, dict[str, list[str]]] = tomllib.loads((lane.parent / "kernels.toml").read_text())["kernel"]
    return next(name for name in reversed(known) if FEATURE in known[name]["features"])
