"""How long nodes take is measured on those that came, once each, and decides how far ahead is looked."""

from dataclasses import replace
from datetime import timedelta

import pytest

from sentinel_operator.decide.leadtime import KEPT, USUAL_S, Arrived, arrived, lead_time_s, remembered
from sentinel_operator.decide.plan import plan
from sentinel_operator.decide.status import Outcome, status
from support.worlds import NOW, buffer_node, cluster, node, report, world


def taken(name, seconds_ago, by="default.front"):
    return replace(node(name), taken_by=by, taken_at=NOW - timedelta(seconds=seconds_ago))


def fleet(*nodes, ready="True", said=None, **scaling):
    mine = cluster(status={"scaling": said or {}}, scaling=scaling)
    return world(of=mine, nodes=nodes, buffer_nodes=[buffer_node(n.name, mine, report(ready=ready)) for n in nodes])


def test_a_node_that_works_has_arrived_after_so_many_seconds():
    assert arrived(fleet(taken("n1", 40), node("n2"))) == (Arrived("n1", 40),)


@pytest.mark.parametrize("here", [fleet(taken("n1", 40), ready="False"), fleet(taken("n1", 40, by="default.other"))])
def test_one_that_does_not_work_yet_or_is_anothers_has_not(here):
    assert not arrived(here)


def test_the_slowest_of_the_last_ones_and_the_interval_decide_how_far_ahead_is_looked():
    assert lead_time_s(fleet().cluster) == USUAL_S
    assert lead_time_s(fleet(said={"measuredLeadSeconds": [20, 45, 30]}).cluster) == 45 + 10
    assert lead_time_s(fleet(said={"measuredLeadSeconds": [20]}, leadTimeSeconds=300).cluster) == 300


def test_a_few_are_remembered_newest_first_and_a_repaired_node_is_none_of_them():
    assert remembered((1, 2, 3, 4, 5), (Arrived("a", 9), Arrived("b", 8))) == (9, 8, 1, 2, 3)
    assert remembered((), (Arrived("a", 7_200),)) == ()
    assert len(remembered(tuple(range(5)), (Arrived("a", 1),))) == KEPT


def test_it_is_in_the_status_before_the_mark_goes():
    here = fleet(taken("n1", 40))
    assert plan(here).arrived == (Arrived("n1", 40),)
    assert status(here, plan(here), Outcome()).scaling.measured_lead_seconds == (40,)
