"""A stored sample is simulated as it was taken: the same scenario, schedule, past and phase."""

from dataclasses import replace

import pytest

from sentinel_lab.experiment import Plan
from sentinel_lab.scenario import MIB, MIXED, SINGLE
from sentinel_lab.sim.beside import compared, plan_of
from sentinel_lab.sim.validation import simulated

PLAN = Plan(SINGLE, "periodic", "reactive-100ms", 6.0)


def row(plan: Plan, **bursty) -> dict:
    told = {"name": "bursty", "sent": 24_000, "drop_percent": 0.0, "sojourn_ms_p99": 640.0}
    return {
        "name": plan.pattern, "pattern": plan.pattern, "policy": plan.policy, "seconds": plan.seconds,
        "seed": plan.seed, "scenario": plan.scenario.name, "past_seconds": plan.past_s,
        "drain_bytes_per_s": plan.scenario.drain_bytes_per_s, "pool_bytes": plan.scenario.pool_bytes,
        "floor_bytes": plan.scenario.floor_bytes, "round_trip_ms": plan.round_trip_ms, "classes": [told | bursty],
    }  # fmt: skip


@pytest.mark.parametrize(
    "plan",
    [PLAN, Plan(MIXED.with_pool(2 * MIB).with_floor(1 << 17), "scheduled", "oracle", 5.0, 2, 60.0, round_trip_ms=20.0)],
)
def test_a_row_says_all_that_decided_its_sample(plan):
    assert plan_of(row(plan)) == plan


def drops(plan: Plan) -> float:
    return simulated(plan).figures["bursty"].drop_share


def test_where_in_a_period_a_burst_begins_decides_what_a_slow_rule_loses_of_it():
    """Periodic bursts are the same whatever the seed, so that two rounds differ in their phase alone."""
    assert drops(replace(PLAN, seed=1)) > 2 * drops(PLAN) > 0
    plain = replace(PLAN, policy="static-small")
    assert drops(replace(plain, seed=1)) == pytest.approx(drops(plain), rel=0.01)


def test_what_lies_apart_is_told_apart():
    lost = 100 * drops(PLAN)
    assert compared(row(PLAN, drop_percent=lost))["drops_agree"]
    assert not compared(row(PLAN, drop_percent=lost + 1.0))["drops_agree"]
