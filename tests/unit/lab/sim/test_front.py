"""The front's verdicts need all three axes, and the smallest pool is found, not assumed."""

import pytest

from sentinel_api.errors import Invalid
from sentinel_lab.bench import front as command
from sentinel_lab.bench.front_figures import PRODUCT, averaged, dominates, intervals, metrics
from sentinel_lab.sim import front
from sentinel_lab.sim.front import Case, carried_out, pool, scenario_of, smallest_pools
from sentinel_lab.sim.traffic import BASE_RTT_S

pytestmark = pytest.mark.timeout(300)  # two CPU seconds, which a busy machine may stretch


def row(policy: str, seed: int = 0, drops: float = 1.0, p99: float = 10.0, held: float = 1_000.0):
    classes = {
        name: {
            "sent_bytes": 1_000_000,
            "dropped_bytes": drops * 10_000,
            "sojourn_ms_p50": p99 / 2,
            "sojourn_ms_p95": p99,
            "sojourn_ms_p99": p99,
            "goodput_bytes_per_s": 1.0,
        }
        for name in ("bursty", "bystander")
    }
    return {
        "pattern": "periodic",
        "policy": policy,
        "seed": seed,
        "held_bytes_mean": held,
        "held_bytes_peak": held,
        "granted_bytes_mean": held,
        "classes": classes,
    }


def point(**values) -> dict[str, float]:
    return averaged([row("any", **values)])


def test_to_dominate_is_to_be_no_worse_on_any_axis_and_better_on_one():
    assert dominates(point(drops=0.5), point())
    assert dominates(point(p99=9), point())
    assert dominates(point(held=900), point())
    assert not dominates(point(drops=0.5, p99=11), point())
    assert not dominates(point(drops=0.5, held=1_100), point())


def test_what_differs_by_less_than_the_tolerances_is_alike():
    assert not dominates(point(drops=0.96, p99=9.9, held=990), point())


def test_the_product_is_said_to_be_dominated_only_by_rules_without_forecasts():
    rows = [row(PRODUCT), row("oracle", drops=0.0), row("reactive-10ms")]
    assert metrics(rows, [])["periodic.dominated"] == 0
    assert metrics([*rows, row("static-large", drops=0.0)], [])["periodic.dominated"] == 1


def test_an_interval_holds_what_the_seeds_say_and_one_seed_has_none():
    found = intervals([row(PRODUCT, seed, drops=seed) for seed in range(5)])
    assert found["drop_percent_low"] < 2.0 < found["drop_percent_high"]
    assert intervals([row(PRODUCT)]) == {}


def test_a_pool_that_was_not_found_has_no_figure():
    pools = [
        {"policy": "reactive-10ms", "smallest_pool_bytes": None},
        {"policy": PRODUCT, "smallest_pool_bytes": 1_000},
    ]
    found = metrics([], pools)
    assert found == {"mixed.predictive.smallest_pool_bytes": 1_000.0}


def test_fixed_shares_need_no_larger_pool_than_is_tried_and_a_smaller_one_loses(monkeypatch):
    """The grid is cut to four pools, one of which is far too small."""
    monkeypatch.setattr(front, "POOL_STEP", 4.0)
    monkeypatch.setattr(front, "POOLS", 4)
    monkeypatch.setattr(front, "STEP_S", 0.005)
    found = smallest_pools(["static-large"], [0], seconds=10.0)[0]
    size = found["smallest_pool_bytes"]
    assert size in [pool(index) for index in range(4)]
    smaller = scenario_of("mixed").with_pool(size // 4)
    lost = carried_out([Case(smaller, "mixed", "static-large", 0, 10.0)])[0].figures["bursty"].drop_share
    assert lost > front.DROPS_ALLOWED


def test_a_trace_goes_by_its_name_and_not_by_where_it_lay():
    assert front.named("trace:/some/where/web.csv.gz") == "trace:web"
    assert front.named("trace:/some/where/web.csv.gz@10") == "trace:web.csv.gz@10"
    assert front.named("periodic") == "periodic"


def test_an_unknown_pattern_is_refused_with_a_sentence():
    with pytest.raises(Invalid, match="there is no pattern"):
        list(command._cases(["nope"], [PRODUCT], 1, None))


def test_the_sweep_changes_one_constant_at_a_time():
    for case in command._swept():
        whole = scenario_of(case.pattern)
        changed = [
            case.scenario.drain_bytes_per_s != whole.drain_bytes_per_s,
            case.scenario.floor_bytes != whole.floor_bytes,
            case.round_trip_s != BASE_RTT_S,
        ]
        assert changed.count(True) == 1, case
