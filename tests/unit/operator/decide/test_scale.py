"""The autoscaler as values: what it does to the number of nodes, and what it never does."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sentinel_api.v1alpha1.clusterstatus import RecentNeed
from sentinel_api.v1alpha1.scaling import Scaling
from sentinel_operator.decide.demand import Demand, Known, Report, fleet
from sentinel_operator.decide.scale import State, decide
from support.worlds import NOW

NODE = 1_000_000  # bytes per second that one node carries
KNOWN = st.builds(
    lambda now, p50, spread: Known(float(now), float(p50), float(p50 + spread)),
    *(st.integers(0, 8 * NODE) for _ in range(3)),
)
REPORTS = st.lists(st.tuples(KNOWN, st.booleans(), st.booleans()), min_size=1, max_size=8).map(
    lambda found: tuple(Report(f"n{i}", known, fresh, foresees) for i, (known, fresh, foresees) in enumerate(found))
)
CORRELATIONS = st.floats(0, 1)


def rules(mode="Auto", **changes):
    body = {"mode": mode, "min": 1, "nodeCapacityBytesPerSecond": NODE, "headroomPercent": 0, "tolerancePercent": 0}
    patience = {"stabilisationSeconds": 300, "maxStepNodes": 1} | changes.pop("scaleDown", {})
    return Scaling.parse(body | changes | {"scaleDown": patience})


RULES = st.builds(
    lambda mode, low, more, up, down, tolerance, fallback: rules(
        mode,
        min=low,
        max=low + more,
        tolerancePercent=tolerance,
        scaleUp={"maxStepNodes": up},
        scaleDown={"maxStepNodes": down},
        fallback=fallback,
    ),
    st.sampled_from(["Recommend", "ScaleOutOnly", "Auto"]),
    *(st.integers(1, 9) for _ in range(4)),
    st.integers(0, 30),
    st.sampled_from(["Hold", "Reactive"]),
)


def demand(p95=0.0, now=0.0, nodes=4, reporting=4, foreseeing=4, p50=None):
    known = Known(now * NODE, (p95 if p50 is None else p50) * NODE, p95 * NODE)
    return Demand(120, known, known, nodes, reporting, foreseeing)


def past(*needs, slice_s=30):
    """A history that reaches back beyond the window, newest first."""
    return tuple(RecentNeed(since=NOW - timedelta(seconds=slice_s * (i + 1)), nodes=n) for i, n in enumerate(needs))


def settled(nodes, need=0):
    """So many nodes after a long time in which `need` would have done."""
    return State(nodes, past(*[need] * 11), NOW - timedelta(seconds=10))


STATES = st.builds(lambda nodes, needs: State(nodes, past(*needs), NOW), st.integers(1, 18), st.lists(
    st.integers(0, 18), min_size=11, max_size=11))  # fmt: skip


def verdict(state, seen, **changes):
    found = decide(rules(**changes), state, seen, NOW)
    return found.target, found.reason, found.limited


def test_growth_that_lasts_counts_where_forecasts_do_not_see_it_and_is_not_given_back_meanwhile():
    ramp = replace(demand(p95=3.0, now=3.0), rise=0.4)
    assert verdict(State(3), ramp) == (5, "Forecast", "")
    assert verdict(State(3), ramp, headroomPercent=20) == (6, "Forecast", "")
    assert verdict(settled(5), ramp) == (5, "AsRequired", "")
    untrusted = replace(ramp, foreseeing=0)
    assert verdict(State(3), untrusted) == (3, "AsRequired", ""), "present demand alone, where that was asked for"


@given(RULES, STATES, REPORTS, CORRELATIONS, st.floats(0, 3), st.floats(0, 3))
def test_more_growth_never_means_fewer_nodes(limits, state, reports, correlation, one, more):
    seen = fleet(reports, 120, correlation)
    lower, higher = (decide(limits, state, replace(seen, rise=rise), NOW) for rise in sorted((one, one + more)))
    assert lower.target <= higher.target


def test_the_forecast_is_what_counts_with_headroom_up_at_once():
    assert verdict(State(3), demand(p95=4.2)) == (5, "Forecast", "")
    assert verdict(State(3), demand(p95=4.2), headroomPercent=20) == (6, "Forecast", "")
    assert verdict(State(3), demand(p95=4.7, p50=3.5)) == (5, "Forecast", ""), "half of the doubt"
    assert verdict(State(3), demand(p95=9.0, p50=3.3)) == (4, "Forecast", ""), "but no more than a fifth"
    assert verdict(State(3), demand(p95=4.2, p50=3.5), headroomPercent=20) == (5, "Forecast", ""), "no margin twice"
    assert verdict(State(3), demand(p95=4.2, p50=4.1), headroomPercent=20) == (5, "Forecast", "")
    found = decide(rules(), State(3), demand(p95=4.2, now=2.0), NOW)
    assert (found.required, found.reactive) == (5, 2), "the answer without foresight is shown beside it"


def test_present_demand_rules_where_the_forecast_says_less():
    assert verdict(State(3), demand(p95=0.1, now=4.0)) == (4, "PresentDemand", "")


def test_a_step_up_is_limited_and_says_so():
    assert verdict(State(3), demand(p95=9), scaleUp={"maxStepNodes": 2}) == (5, "Forecast", "StepLimit")


def test_what_tolerance_covers_moves_nothing():
    assert verdict(State(10), demand(p95=10.5), tolerancePercent=10) == (10, "WithinTolerance", "")
    assert verdict(State(10), demand(p95=11.5), tolerancePercent=10) == (12, "Forecast", "")


def test_fewer_only_when_more_than_one_node_is_idle_for_the_whole_window():
    assert verdict(settled(5, 4), demand(p95=4)) == (5, "AsRequired", "")
    assert verdict(settled(5, 3), demand(p95=3)) == (4, "LessDemand", "StepLimit")
    assert verdict(State(5, past(3, 3, 5, *[3] * 8), NOW), demand(p95=3)) == (5, "Stabilising", "Stabilising")
    assert verdict(State(5, past(3, 3), NOW), demand(p95=3)) == (5, "Stabilising", "Stabilising")


def test_a_step_down_goes_no_lower_than_the_peak_of_the_window():
    mine = State(9, past(2, 6, *[2] * 9), NOW)
    assert verdict(mine, demand(p95=2), scaleDown={"maxStepNodes": 9}) == (6, "LessDemand", "")


def test_a_hole_in_the_history_starts_the_patience_anew():
    old = replace(settled(5, 1), observed_at=NOW - timedelta(minutes=5))
    assert verdict(old, demand(p95=1)) == (5, "Stabilising", "Stabilising")
    assert verdict(replace(old, observed_at=NOW - timedelta(seconds=35)), demand(p95=1))[0] == 4, "a change of leaders"


def test_nothing_is_given_back_in_the_dark():
    assert verdict(settled(5), demand(p95=1, reporting=3)) == (5, "LowCoverage", "LowCoverage")
    assert verdict(settled(5), demand(reporting=0)) == (5, "NoReports", "NoReports")
    assert verdict(settled(5), demand(foreseeing=1), fallback="Hold")[1] == "ForecastsNotTrusted"


def test_with_low_coverage_it_still_grows():
    assert verdict(State(5), demand(p95=7, reporting=3)) == (7, "Forecast", "")


def test_forecasts_that_are_not_trusted_are_replaced_by_present_demand_or_by_nothing():
    assert verdict(State(3), demand(p95=9, now=4, foreseeing=1)) == (4, "PresentDemand", "")
    assert verdict(State(3), demand(p95=9, now=4, foreseeing=1), fallback="Hold")[0] == 3


def test_bounds_are_kept_even_in_the_dark_and_are_named():
    assert verdict(State(1), demand(reporting=0), min=3) == (3, "MinNodes", "MinNodes")
    assert verdict(State(9), demand(p95=20), max=10) == (10, "Forecast", "MaxNodes")
    assert verdict(State(10), demand(p95=20), max=10)[2] == "MaxNodes"
    assert verdict(State(12), demand(p95=12), max=10) == (10, "MaxNodes", "MaxNodes")
    assert verdict(State(3), demand(p95=1), min=3) == (3, "AsRequired", "MinNodes")


def test_a_number_that_a_person_asked_for_is_a_floor():
    found = decide(rules("ScaleOutOnly"), State(3), demand(p95=1), NOW, floor=5)
    assert (found.target, found.reason) == (5, "MinNodes")


@given(RULES, STATES, REPORTS, CORRELATIONS)
def test_the_target_keeps_the_bounds(asked, state, reports, correlation):
    found = decide(asked, state, fleet(reports, 120, correlation), NOW)
    assert asked.min <= found.target <= asked.max
    assert len(found.recent) <= 12


@given(RULES, STATES, REPORTS, CORRELATIONS, st.data())
def test_more_demand_never_means_fewer_nodes(asked, state, reports, correlation, data):
    number = data.draw(st.integers(0, len(reports) - 1))
    more = data.draw(KNOWN)
    old = reports[number].known
    risen = replace(reports[number], known=Known(old.now + more.now, old.p50 + more.p50, old.p95 + more.p95))
    higher = (*reports[:number], risen, *reports[number + 1 :])
    before = decide(asked, state, fleet(reports, 120, correlation), NOW).target
    assert decide(asked, state, fleet(higher, 120, correlation), NOW).target >= before


@given(RULES, STATES, REPORTS, CORRELATIONS, st.randoms())
def test_the_order_of_reports_is_irrelevant(asked, state, reports, correlation, chance):
    shuffled = list(reports)
    chance.shuffle(shuffled)
    one, other = (decide(asked, state, fleet(r, 120, correlation), NOW) for r in (reports, shuffled))
    assert one == other


@given(RULES, STATES, REPORTS, CORRELATIONS)
def test_never_fewer_when_nobody_reports_or_too_few_do(asked, state, reports, correlation):
    seen = fleet(reports, 120, correlation)
    assume(seen.coverage_percent < asked.coverage.min_percent)
    assert decide(asked, state, seen, NOW).target >= min(state.nodes, asked.max)


@given(RULES, STATES, REPORTS, CORRELATIONS, st.data())
def test_a_node_that_falls_silent_never_costs_a_node(asked, state, reports, correlation, data):
    asked = asked.model_copy(update={"fallback": "Reactive"})
    number = data.draw(st.integers(0, len(reports) - 1))
    all_fresh = tuple(replace(report, fresh=True, foresees=True) for report in reports)
    silent = (*all_fresh[:number], replace(all_fresh[number], fresh=False), *all_fresh[number + 1 :])
    before = decide(asked, state, fleet(all_fresh, 120, correlation), NOW).target
    after = decide(asked, state, fleet(silent, 120, correlation), NOW).target
    assert after >= min(before, state.nodes)


@given(RULES, STATES, REPORTS, CORRELATIONS)
def test_decided_again_and_again_it_goes_one_way_and_settles(asked, state, reports, correlation):
    seen = fleet(reports, 120, correlation)
    targets = [state.nodes]
    for _ in range(40):
        found = decide(asked, state, seen, NOW)
        state = State(found.target, found.recent, NOW)
        targets.append(found.target)
    assert targets in (sorted(targets), sorted(targets, reverse=True))
    assert targets[-1] == targets[-2]


@pytest.mark.parametrize("window", [0, 300])
def test_the_history_reaches_back_as_far_as_it_must_and_no_farther(window):
    asked, state = rules(scaleDown={"stabilisationSeconds": window}), State(5)
    for tick in range(200):
        now = NOW + timedelta(seconds=10 * tick)
        state = State(5, decide(asked, state, demand(p95=4), now).recent, now)
        assert len(state.recent) <= 12
    reach = (now - state.recent[-1].since).total_seconds()
    assert window <= reach <= 1.2 * window + 10
