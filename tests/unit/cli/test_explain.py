"""`sentinel explain`: each sentence comes from a reason that was written down, or is arithmetic on the spec."""

from datetime import timedelta

import pytest
from click.testing import CliRunner

from sentinel_api.errors import Invalid
from sentinel_api.v1alpha1.scaling import Scaling
from sentinel_cli.cluster import explain
from sentinel_cli.cluster.commands import explain as command
from sentinel_operator.decide.demand import Demand, Known
from sentinel_operator.decide.scale import State, decide
from support.worlds import NOW, buffer_node, cluster, report

MB = 1_000_000


def stamp(seconds_ago):
    return (NOW - timedelta(seconds=seconds_ago)).isoformat().replace("+00:00", "Z")


def condition(kind, status, reason, message=""):
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": stamp(9)}


def of_cluster(*conditions, spec=None, **status):
    here = cluster(status={"conditions": list(conditions), **status}, **(spec or {}))
    return explain.told(explain.of_cluster(here, NOW))


def scaled(mode="Auto", target=5, **rules):
    said = {
        "targetNodes": target, "requiredNodes": 5, "reactiveNodes": 3, "leadTimeSeconds": 60, "observedAt": stamp(4),
        "demandP95BytesPerSecond": 480 * MB,
        "decisions": [{
            "decidedAt": stamp(40), "fromNodes": 3, "toNodes": 5, "requiredNodes": 5, "reactiveNodes": 3,
            "applied": True, "reason": "Forecast", "message": "More.",
            "inputs": {"reportingNodes": 3, "demandP95BytesPerSecond": 480 * MB},
        }],
    }  # fmt: skip
    spec = {
        "nodes": 5,
        "scaling": {"mode": mode, "nodeCapacityBytesPerSecond": 100 * MB, "tolerancePercent": 5, **rules},
    }
    return of_cluster(spec=spec, scaling=said, nodes=5)


def test_a_cluster_that_nobody_answers_for_says_what_must_run():
    assert "it changes when one runs" in explain.told(explain.of_cluster(cluster(), NOW))


def test_what_is_wrong_is_told_with_its_cause_and_its_remedy():
    said = of_cluster(
        condition("Degraded", "True", "ObserveOnly", "1 nodes cannot enforce"),
        condition("Ready", "False", "AgentsNotReady", "1 of 2 agents work"),
        condition("ModelReady", "True", "Trusted", "all well"),
    ).splitlines()
    assert said[:3] == [
        "- Ready is false (AgentsNotReady).",
        "    because 1 of 2 agents work.",
        "    it changes when those agents run: `kubectl sentinel explain node/NAME` says why one does not.",
    ]
    assert said[3] == "- Degraded is true (ObserveOnly)."
    assert not any("ModelReady" in line for line in said)


def test_a_number_of_nodes_comes_with_its_reason_and_the_demand_that_would_change_it():
    said = scaled()
    assert "5 nodes are asked for. Last change: 40 s ago, from 3 to 5 (Forecast; 3 nodes reported 480.0 MB/s)." in said
    assert "calls for 5 nodes of 100.0 MB/s each; present demand alone would call for 3" in said
    assert "exceeds 500.0 MB/s (more nodes), or stays below 300.0 MB/s for 60 s (fewer)" in said


@pytest.mark.parametrize(
    ("rules", "sentence"),
    [
        ({"max": 5}, "spec.scaling.max is raised above 5"),
        ({"min": 5}, "never fewer than spec.scaling.min, 5"),
        ({"mode": "ScaleOutOnly"}, "ScaleOutOnly gives no node back"),
    ],
)
def test_bounds_are_told_by_their_name(rules, sentence):
    assert sentence in scaled(**rules)


def test_the_thresholds_are_those_of_the_decision():
    """At the demand that is told the autoscaler holds, and a byte above it it grows."""
    asked = {"mode": "Auto", "nodeCapacityBytesPerSecond": 100 * MB, "tolerancePercent": 5, "headroomPercent": 25}
    rules = Scaling.model_validate(asked)

    def target(demand):
        known = Known(now=0, p50=demand / 1.25, p95=2 * demand)  # more doubt than counts
        seen = Demand(60, seen=known, feared=known, nodes=5, reporting=5, foreseeing=5, correlation=0.0)
        return decide(rules, State(5), seen, NOW).target

    assert (target(500 * MB), target(500 * MB + 1)) == (5, 6)


def test_a_silent_node_says_so_first_and_how_old_everything_is():
    node = buffer_node("n1", cluster(), report(demand=MB, seconds_ago=1_000))
    first = explain.of_node(node, NOW)[0]
    assert "last heard 16 min ago" in first.fact
    assert "static limits" in first.change


def test_a_node_tells_tier_forecast_and_trust():
    node = buffer_node("n1", cluster(), report(demand=10 * MB, points=[(120, 20 * MB, 30 * MB)], tier="C"))
    said = explain.told(explain.of_node(node, NOW))
    assert "only observes (tier C)" in said
    assert "It carries 10.0 MB/s; in 120 s 20.0 MB/s to 30.0 MB/s are expected" in said
    assert "does not act on its forecasts" in said


def test_a_node_that_never_spoke_names_its_pod():
    assert "spec.nodeName=n9" in explain.told(explain.of_node(buffer_node("n9", cluster()), NOW))


@pytest.mark.parametrize("what", ["front", "pod/x", "node/", ""])
def test_what_cannot_be_explained_is_refused_in_one_sentence(what):
    result = CliRunner().invoke(command, [what])
    assert isinstance(result.exception, Invalid)
    assert "node/NAME" in str(result.exception)
