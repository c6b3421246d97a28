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


def test_where_balancers_are_heard_it_has_arrived_when_one_of_them_sends_it_traffic():
    here = fleet(taken("n1", 40), taken("n2", 50))
    assert arrived(replace(here, served=frozenset({"n2"}))) == (Arrived("n2", 50),)
    assert len(arrived(replace(here, served=None))) == 2


SCALE = {"type": "ScaleSubresource", "target": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "pool"}}


def decision(seconds_ago, from_nodes, to_nodes, *, applied=True):
    at = (NOW - timedelta(seconds=seconds_ago)).isoformat().replace("+00:00", "Z")
    return {"decidedAt": at, "fromNodes": from_nodes, "toNodes": to_nodes, "requiredNodes": to_nodes,
            "reactiveNodes": from_nodes, "applied": applied, "reason": "Forecast"}  # fmt: skip


@pytest.mark.parametrize(
    ("last", "seconds"),
    [
        pytest.param(decision(90, 3, 4), 90, id="the decision asked for it"),
        pytest.param(decision(90, 4, 3), None, id="it asked for fewer"),
        pytest.param(decision(90, 3, 4, applied=False), None, id="it was a recommendation"),
        pytest.param(decision(7_200, 3, 4), None, id="it was long ago"),
    ],
)
def test_a_node_that_another_makes_is_measured_from_the_decision_that_asked_for_it(last, seconds):
    here = fleet(node("n1"), said={"decisions": [last]}, mode="Auto", driver=SCALE)
    (bound,) = plan(here).relabel
    assert (bound.asked_at and (NOW - bound.asked_at).total_seconds()) == seconds
    marked = replace(here, nodes=(replace(node("n1"), taken_at=bound.asked_at),))
    assert [each.seconds for each in arrived(marked)] == ([] if seconds is None else [seconds])


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
