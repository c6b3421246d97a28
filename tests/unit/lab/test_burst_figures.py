"""Figures come from clean rows alone, by names that stay; what was not measured is absent."""

import pytest

from sentinel_lab.bench import burst_page
from sentinel_lab.bench.burst_figures import metrics
from sentinel_lab.bench.burst_samples import Asked, Kept, plans
from sentinel_lab.policies import NAMES, NEEDS_TRUTH
from sentinel_lab.scenario import MIB, MIXED, SINGLE

FIGURES = (
    "goodput_bytes_per_s", "delay_ms_p99", "sojourn_ms_p50", "sojourn_ms_p95", "sojourn_ms_p99",
)  # fmt: skip


def row(policy, dropped, seed=0, name="periodic", scenario=SINGLE, held=1024.0, **bursty):
    made = {"name": "bursty", "sent": 1000, "dropped": dropped} | dict.fromkeys(FIGURES, 1.0) | bursty
    others = [{"name": each, "sent": 100, "dropped": 0} | dict.fromkeys(FIGURES, 2.0) for each in ("bystander", "bulk")]
    memory = dict.fromkeys(("granted_bytes_mean", "granted_bytes_peak", "held_bytes_mean", "held_bytes_peak"), held)
    return {
        "name": name, "policy": policy, "seed": seed, "seconds": 30.0, "classes": [made, *others], "node": memory,
        "drain_bytes_per_s": scenario.drain_bytes_per_s, "floor_bytes": scenario.floor_bytes,
        "pool_bytes": scenario.pool_bytes, "dirt": [], "load": 1.0,
    }  # fmt: skip


def test_drops_are_of_all_packets_and_an_interval_needs_more_than_one_round():
    found = metrics([row("static-small", 10), row("static-small", 30, seed=1)])
    assert found["periodic.static-small.drop_percent"] == pytest.approx(2.0)
    assert found["periodic.static-small.drop_percent_low"] == pytest.approx(1.0)
    assert found["periodic.static-small.drop_percent_high"] == pytest.approx(3.0)
    assert "periodic.static-small.drop_percent_low" not in metrics([row("static-small", 10)])


def test_each_class_has_its_figures_and_fairness_tells_who_suffers():
    found = metrics([row("static-small", 500), row("static-small", 500, seed=1)])
    assert found["periodic.static-small.bystander.sojourn_ms_p99"] == 2.0
    assert found["periodic.static-small.bystander.sojourn_ms_p99_low"] == 2.0
    assert found["periodic.static-small.fairness"] == pytest.approx(2.5**2 / (3 * 2.25))
    assert metrics([row("static-small", 0)])["periodic.static-small.fairness"] == pytest.approx(1.0)


def test_scenarios_of_their_own_go_by_their_own_schedules_and_no_policy_is_told_what_nobody_knows():
    found = list(plans(Asked(patterns=("flows", "synflood", "mixed"), policies=NAMES, seconds=20.0, seeds=1)))
    assert {each.scenario.name: each.pattern for each in found} == {
        "flows": "cache",
        "flood": "synflood",
        "mixed": "scheduled",
    }
    told = {each.scenario.name for each in found if each.policy in NEEDS_TRUTH}
    assert told == {"mixed"}


def test_the_product_is_held_against_each_rival_that_was_measured_and_no_other():
    found = metrics([row("predictive", 5), row("reactive-100ms", 20), row("reactive-10ms", 0), row("oracle", 1)])
    assert found["periodic.drop_reduction_vs_reactive_100ms"] == pytest.approx(0.75)
    assert found["periodic.drop_points_vs_reactive_10ms"] == pytest.approx(0.5)
    assert found["periodic.oracle_gap"] == pytest.approx(0.4)
    assert "periodic.drop_reduction_vs_reactive_1s" not in found
    assert "periodic.memory_ratio_vs_static_large" not in found


def test_a_reduction_of_nothing_is_absent_not_zero():
    found = metrics([row("predictive", 0), row("reactive-100ms", 0)])
    assert "periodic.drop_reduction_vs_reactive_100ms" not in found


def test_a_sweep_is_told_by_its_ends_and_never_averaged_in():
    slow = SINGLE.with_drain(6_000_000)
    rows = [row("predictive", 0), row("reactive-10ms", 10), row("predictive", 40, scenario=slow)]
    found = metrics([*rows, row("reactive-10ms", 20, scenario=slow)])
    assert found["periodic.drop_points_vs_reactive_10ms"] == pytest.approx(-1.0)
    assert found["periodic.drop_points_vs_reactive_10ms_sweep_min"] == pytest.approx(-1.0)
    assert found["periodic.drop_points_vs_reactive_10ms_sweep_max"] == pytest.approx(2.0)


def mixed(policy, mib, dropped, delay=1.0, bulk=2.0):
    found = row(policy, dropped, name="mixed", scenario=MIXED.with_pool(int(mib * MIB)), sojourn_ms_p99=delay)
    found["classes"][2]["goodput_bytes_per_s"] = bulk
    return found


def test_the_smallest_pool_serves_the_bursts_at_no_worse_delay_and_goodput():
    rows = [mixed("reactive-10ms", 2, 5), mixed("reactive-10ms", 3, 0), mixed("reactive-10ms", 4, 0)]
    rows += [mixed("predictive", 1, 0, delay=2.0), mixed("predictive", 1.5, 0, bulk=1.0), mixed("predictive", 2, 0)]
    found = metrics(rows)
    assert found["mixed.pool_kib_reactive-10ms"] == 3 * 1024
    assert found["mixed.pool_ratio_vs_reactive_10ms"] == pytest.approx(2 / 3)
    assert "mixed.pool_ratio_vs_reactive_10ms" not in metrics(rows[:1] + rows[3:])


def test_where_one_pool_was_tried_nothing_is_said_of_the_smallest():
    rows = [mixed("reactive-10ms", 4, 0), mixed("predictive", 4, 0)]
    assert not [name for name in metrics(rows) if name.startswith("mixed.pool_")]


def test_rivals_stand_side_by_side_and_take_turns_at_going_first():
    asked = Asked(("periodic", "random"), ("a", "b", "c"), 1.0, 2)
    order = [(plan.seed, plan.pattern, plan.policy) for plan in plans(asked)]
    assert [policy for _, _, policy in order[:3]] == ["a", "b", "c"]
    assert [policy for _, _, policy in order[6:9]] == ["b", "c", "a"]
    assert len({(seed, pattern) for seed, pattern, _ in order[:3]}) == 1


def test_a_kept_sample_is_found_again_by_everything_that_decides_it(tmp_path):
    first, other = plans(Asked(("periodic",), ("static-small",), 1.0, 2))
    kept = Kept(tmp_path)
    kept.keep(first, {"seed": 0})
    assert kept.find(first) == {"seed": 0}
    assert kept.find(other) is None
    assert Kept(None).find(first) is None


def test_the_page_has_a_row_for_each_policy_and_the_command_beside_it():
    rows = [row(policy, 1) for policy in NAMES] + [row("oracle", 0, seed=9) | {"dirt": ["late"]}]
    machine = {
        "date": "2026-01-01",
        "kernel": "6.18",
        "cpus": "2",
        "python": "3.11",
        "command": "sentinel " + "x " * 80,
    }
    page = burst_page.page({"machine": machine, "metrics": metrics(rows[:-1]), "rows": rows})
    assert all(f"| {policy} |" in page for policy in NAMES)
    assert "13 clean samples, 1 refused" in page
    assert "sudo sentinel x" in page
    assert max(len(line) for line in page.splitlines() if line.startswith(("sudo", "  x"))) <= 120
