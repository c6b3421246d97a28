"""The simulator says what the testbed measures: drops within a tenth, p99 sojourn within fifteen hundredths.

Slow: each case sends real packets for ten to twenty seconds. A machine too busy to send on time gives no reference, and
the case says so and skips.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sentinel_lab.experiment import Plan
from sentinel_lab.scenario import SINGLE
from sentinel_lab.sim.validation import PATTERNS, TRACE_POLICIES, TRACE_SECONDS, Comparison, Unfit, compared
from support.netns import need_data_plane

ATTEMPTS = 2
# Nothing was ever fitted to it: periods of 30 s and 60 s, and single bins of forty times the mean.
UNSEEN = "db_cloudphysics_w92_a.csv.gz"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(autouse=True)
def _able() -> None:
    need_data_plane()


def side_by_side(plan: Plan) -> Comparison:
    try:
        return compared(plan)
    except Unfit as why:
        pytest.skip(str(why))


def agree(plan: Plan) -> None:
    """The simulator says the same each time; a real run on a busy machine may be like no other without showing it."""
    found: list[Comparison] = []
    for _ in range(ATTEMPTS):
        found.append(side_by_side(plan))
        assert found[-1].sent > 1_000
        if found[-1].drops_agree and found[-1].sojourns_agree:
            return
    pytest.fail(f"each time another than the testbed: {found}")


@pytest.mark.parametrize(("pattern", "policy", "seconds"), PATTERNS, ids=[f"{each[0]}-{each[1]}" for each in PATTERNS])
def test_a_pattern_comes_out_as_in_the_testbed(pattern, policy, seconds):
    agree(Plan(SINGLE, pattern, policy, seconds, seed=3))


@pytest.mark.parametrize("policy", TRACE_POLICIES)
def test_a_trace_that_was_never_calibrated_with_comes_out_as_in_the_testbed(policy):
    folder = os.environ.get("SENTINEL_TRACES")
    if not folder or not (trace := Path(folder) / UNSEEN).exists():
        pytest.skip(f"SENTINEL_TRACES names no folder with {UNSEEN}")
    agree(Plan(SINGLE, f"trace:{trace}", policy, TRACE_SECONDS))
