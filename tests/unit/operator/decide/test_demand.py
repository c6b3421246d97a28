"""Many reports as one demand: what silent nodes count for, and that certainty is not invented."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel_operator.decide.demand import Known, Report, fleet


def said(node, now, p95=None, **flags):
    known = Known(now, now, now if p95 is None else p95)
    return Report(node, known, **{"fresh": True, "foresees": True, **flags})


def test_the_quantile_of_the_sum_is_not_the_sum_of_quantiles():
    reports = [said(f"n{i}", 100.0, 150.0) for i in range(4)]
    assert fleet(reports, 120, 1.0).seen.p95 == 600
    assert fleet(reports, 120, 0.0).seen.p95 == 500, "independent deviations cancel: 400 + 50 x √4"


def test_a_silent_node_counts_as_the_most_of_its_last_word_and_its_peers():
    peers = [said("a", 10.0), said("b", 10.0)]
    assert fleet([*peers, said("c", 3.0, fresh=False)], 120, 1.0).seen.p95 == 30
    assert fleet([*peers, said("c", 50.0, fresh=False)], 120, 1.0).seen.p95 == 70


def test_a_node_that_never_spoke_neither_grows_nor_shrinks_the_fleet():
    seen = fleet([said("a", 10.0), said("b", 10.0), Report("new")], 120, 1.0)
    assert (seen.seen.p95, seen.seen.now) == (20, 20)
    assert (seen.feared.p95, seen.feared.now) == (30, 30)
    assert (seen.nodes, seen.reporting, seen.coverage_percent) == (3, 2, 66)


def test_nobody_knows_anything():
    seen = fleet([Report("a")], 120, 1.0)
    assert (seen.seen.p95, seen.coverage_percent, seen.believable(0)) == (0, 0, False)
    assert fleet([], 120, 1.0).coverage_percent == 0


@pytest.mark.parametrize(("foreseeing", "believed"), [(4, True), (3, False)])
def test_forecasts_are_believed_when_enough_of_the_reporting_nodes_foresee(foreseeing, believed):
    reports = [said(f"n{i}", 1.0, foresees=i < foreseeing) for i in range(4)]
    assert fleet(reports, 120, 1.0).believable(80) is believed


@given(st.lists(st.tuples(st.floats(0, 1e9), st.booleans()), min_size=1, max_size=9), st.integers(0, 8))
def test_falling_silent_never_lowers_the_sum(nodes, number):
    reports = [said(f"n{i}", now, fresh=fresh) for i, (now, fresh) in enumerate(nodes)]
    gone = [said(r.node, r.known.now, fresh=r.fresh and i != number) for i, r in enumerate(reports)]
    assert fleet(gone, 120, 1.0).seen.p95 >= fleet(reports, 120, 1.0).seen.p95
