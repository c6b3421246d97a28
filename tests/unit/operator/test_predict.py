"""Reports read at the capacity horizon, and how much nodes err together, learned from their past forecasts."""

import random
from dataclasses import replace
from datetime import timedelta

import pytest

from sentinel_api.v1alpha1.buffernode import NodeForecast
from sentinel_operator.predict import Memory, at_horizon, predict, remembered
from support.worlds import NOW, buffer_node, cluster, node, report, world

POINTS = ((30, 100, 200), (60, 200, 400))


def told(demand=0, points=POINTS):
    return NodeForecast.parse(report(demand=demand, points=points)["forecast"])


@pytest.mark.parametrize(
    ("seconds", "p50", "p95"),
    [
        pytest.param(30, 100, 200, id="at a horizon of the report"),
        pytest.param(45, 150, 300, id="between two, in proportion"),
        pytest.param(15, 50, 100, id="between now and the first"),
        pytest.param(600, 200, 400, id="beyond the last, as at the last"),
        pytest.param(0, 0, 0, id="now"),
    ],
)
def test_a_forecast_is_read_at_the_horizon(seconds, p50, p95):
    known = at_horizon(told(), seconds)
    assert (known.p50, known.p95) == (p50, p95)


def test_without_points_the_present_is_all_that_is_known():
    assert at_horizon(told(demand=7, points=()), 120).p95 == 7


def seen(*reports, **spec):
    mine = cluster(**spec)
    names = [f"n{i}" for i in range(len(reports))]
    nodes = [buffer_node(name, mine, said) for name, said in zip(names, reports, strict=True) if said]
    return world(of=mine, nodes=[node(name) for name in names], buffer_nodes=nodes)


def test_stale_and_missing_nodes_are_told_from_fresh_ones():
    demand, _ = predict(seen(report(points=POINTS), report(seconds_ago=91, points=POINTS), None), Memory())
    assert (demand.nodes, demand.reporting, demand.foreseeing) == (3, 1, 1)


@pytest.mark.parametrize(
    ("scores", "believed"),
    [
        pytest.param({"falseAlarms": 3, "trusted": False}, 400, id="too few alarms to judge"),
        pytest.param({"falseAlarms": 30, "trusted": False}, 7, id="refuted by its own score: present demand"),
        pytest.param({"hits": 30, "trusted": True}, 400, id="proved right"),
    ],
)
def test_distrust_must_be_earned(scores, believed):
    demand, _ = predict(seen(report(demand=7, points=POINTS, scores=scores)), Memory())
    assert demand.seen.p95 == believed


def test_the_newest_word_counts_and_the_status_is_what_is_left_without_the_mesh():
    written = seen(report(points=[(120, 100, 100)]), report(points=[(120, 100, 100)]))
    said = told(points=[(120, 400, 500)])
    heard = {"n0": said.model_copy(update={"observed_at": NOW})}
    demand, _ = predict(replace(written, heard=heard), Memory())
    assert (demand.seen.p95, demand.reporting, demand.by_mesh) == (600, 2, 1)
    late = {"n0": said.model_copy(update={"observed_at": NOW - timedelta(seconds=30)})}
    demand, _ = predict(replace(written, heard=late), Memory())
    assert (demand.seen.p95, demand.by_mesh) == (200, 0)


def test_the_mesh_brings_a_node_that_has_not_written_yet_and_none_that_was_handed_back():
    heard = {"n0": told(points=[(120, 400, 500)])}
    fresh = replace(seen(None, report(points=POINTS)), buffer_nodes=(buffer_node("n0", cluster()),), heard=heard)
    assert predict(fresh, Memory())[0].reporting == 1
    gone = replace(seen(report(state="Detached", points=POINTS)), heard=heard)
    assert predict(gone, Memory())[0].reporting == 0


def rounds(deviations, count=300):
    """The correlation after so many rounds in which nodes deviate from a forecast of 1000 as given."""
    memory = Memory()
    for number in range(count):
        reports = [report(demand=1000 + off, points=[(30, 1000, 1100)]) for off in deviations()]
        here = replace(seen(*reports), now=NOW + timedelta(seconds=30 * number))
        fresh = [b.model_copy(update={"status": _at(b.status, here.now)}) for b in here.buffer_nodes]
        _, memory = predict(replace(here, buffer_nodes=tuple(fresh)), memory)
    return memory


def _at(status, now):
    return status.model_copy(update={"forecast": status.forecast.model_copy(update={"observed_at": now})})


def test_nodes_that_deviate_together_and_apart_are_told_apart():
    chance = random.Random(7)
    together = rounds(lambda: [chance.choice([-300, 300])] * 4)
    apart = rounds(lambda: [chance.choice([-300, 300]) for _ in range(4)])
    assert together.correlation == pytest.approx(1.0)
    assert apart.correlation < 0.5
    assert len(apart.waiting) == 1, "what has been compared is forgotten"


def test_nothing_is_hoped_for_until_it_is_learned_and_a_new_leader_goes_on():
    assert Memory().correlation == 1.0
    known = world(of=cluster(status={"scaling": {"correlationPercent": 40}}))
    assert remembered(known).correlation == pytest.approx(0.4)


def test_demand_that_keeps_growing_is_told_until_a_node_and_the_next_decision_have_come():
    """Ten bytes a second more every ten seconds: 130 seconds ahead are 130 more, but for its two largest steps."""
    memory, rises = Memory(), []
    for i in range(20):
        here = replace(seen(report(demand=1_000 + 10 * i), report(demand=0)), now=NOW + timedelta(seconds=10 * i))
        demand, memory = predict(here, memory)
        rises.append(demand.rise)
    assert rises[:9] == [0] * 9
    assert 100 / 1_190 < rises[-1] < 130 / 1_190


def test_forecasts_that_do_not_come_true_count_no_more():
    memory, pays = Memory(), []
    for i in range(40):
        here = replace(seen(report(points=[(120, 5_000, 5_000)])), now=NOW + timedelta(seconds=10 * i))
        demand, memory = predict(here, memory)
        pays.append(demand.pays)
    assert (pays[0], pays[-1]) == (True, False)
