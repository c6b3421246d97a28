"""Figures come from clean rows alone, by names that stay; what was not measured is absent."""

import pytest

from sentinel_lab.bench import burst_page
from sentinel_lab.bench.burst_figures import metrics
from sentinel_lab.bench.burst_parts import joined
from sentinel_lab.bench.burst_samples import Asked, Kept, plans
from sentinel_lab.bench.burst_verdict import verdicts
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
    kept = Kept(tmp_path, "abc")
    kept.keep(first, {"seed": 0})
    assert kept.find(first) == {"seed": 0}
    assert kept.find(other) is None
    assert Kept(None, "abc").find(first) is None
    assert Kept(tmp_path, "def").find(first) is None, "a sample of other code was taken for one of this"


def answer(command, date, *rows):
    machine = {"date": date, "kernel": "6.18", "cpus": "2", "python": "3.11", "command": command}
    return {
        "bench": "burst",
        "machine": machine,
        "metrics": {},
        "rows": [each | {"past_seconds": 0.0} for each in rows],
    }


def test_parts_make_one_answer_and_a_sample_taken_again_replaces_the_one_before():
    first = answer("sentinel one", "2026-01-01", row("predictive", 100), row("reactive-100ms", 50))
    second = answer("sentinel two", "2026-01-02", row("predictive", 0), row("predictive", 0, seed=1))
    found = joined(first, second)
    assert [(each["policy"], each["seed"]) for each in found["rows"]] == [
        ("reactive-100ms", 0), ("predictive", 0), ("predictive", 1),
    ]  # fmt: skip
    assert found["metrics"]["periodic.predictive.drop_percent"] == 0.0
    assert found["metrics"]["periodic.drop_reduction_vs_reactive_100ms"] == 1.0
    page = burst_page.page(joined(found, answer("sentinel three", "2026-01-03", row("oracle", 0))))
    assert all(f"sudo sentinel {each}" in page for each in ("one", "two", "three"))
    assert "2026-01-01 to 2026-01-03" in page


def said(*rows):
    return {each.wanted: each.met for each in verdicts(metrics(rows))}


def test_what_is_wanted_is_judged_by_the_figures_and_only_where_they_are():
    assert said(row("predictive", 0)) == {}
    for ours, met in ((1, True), (2, False)):
        found = said(row("predictive", ours), row("reactive-100ms", 30), row("reactive-1s", 20))
        assert found["periodic: ≥ 95 % fewer drops than reactive-100ms"] is (ours <= 1.5)
        assert found["periodic: ≥ 95 % fewer drops than reactive-1s"] is met
    inverted = [row("predictive-inverted", 21), row("reactive-100ms", 20)]
    assert said(*inverted) == {"periodic: with inverted forecasts ≤ 1.05 x reactive-100ms's drops": True}
    assert set(said(row("predictive-inverted", 22), inverted[1]).values()) == {False}


def test_beside_the_bystanders_wait_stands_that_under_who_gives_no_orders():
    def waiting(policy, ms):
        made = row(policy, 0)
        made["classes"][1]["sojourn_ms_p99"] = ms
        return made

    rows = [waiting("static-small", 1.0), waiting("predictive", 1.2), waiting("static-large", 1.3)]
    (found,) = (each for each in verdicts(metrics(rows)) if "bystander" in each.wanted)
    assert (found.found, found.met) == ("1.20 (static-large 1.30)", False)
    assert [each.met for each in verdicts(metrics([rows[0], waiting("predictive", 1.05)]))] == [True]


def test_fewer_than_none_is_not_asked_for():
    rows = [row("predictive", 0, name="microburst"), row("reactive-10ms", 0, name="microburst")]
    assert said(*rows) == {"microburst: fewer drops than reactive-10ms, which drops none": True}
    assert set(said(row("predictive", 1, name="microburst"), rows[1]).values()) == {False}
    some = [row("predictive", 5, name="microburst"), row("reactive-10ms", 5, name="microburst")]
    assert said(*some) == {"microburst: fewer drops than reactive-10ms": False}


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
