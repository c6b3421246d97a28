"""`sentinel status` in words: what is wrong comes first, and every number says what it is."""

from datetime import timedelta

import pytest

from sentinel_api.v1alpha1.conditions import Condition
from sentinel_cli.cluster import words
from support.worlds import NOW, buffer_node, cluster, report

MB = 1_000_000


def condition(kind, status, reason, message=""):
    return {
        "type": kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": "2030-01-01T00:00:00Z",
    }


def told(*nodes, conditions=(), spec=None, **status):
    here = cluster(status={"conditions": list(conditions), **status}, **(spec or {}))
    return "\n".join(words.told(here, nodes, NOW))


def test_a_cluster_that_no_operator_has_seen_says_where_to_look():
    assert "no operator has answered" in "\n".join(words.told(cluster(), (), NOW))


def test_what_is_wrong_stands_right_below_the_title():
    said = told(
        conditions=[
            condition("Ready", "False", "AgentsNotReady", "1 of 2 agents work"),
            condition("Degraded", "True", "ObserveOnly", "1 node cannot enforce"),
            condition("ModelReady", "Unknown", "NoReports"),
        ]
    ).splitlines()
    assert said[0] == "default/front: not ready (AgentsNotReady): 1 of 2 agents work"
    assert said[1] == "  ! Degraded: 1 node cannot enforce"
    assert not any("ModelReady" in line for line in said)


def test_a_healthy_cluster_has_no_troubles():
    good = [condition("Ready", "True", "AllAgentsReady"), condition("Degraded", "False", "AsExpected")]
    assert "!" not in told(conditions=good)


def test_decisions_come_with_their_reasons_and_their_age():
    stamp = (NOW - timedelta(seconds=40)).isoformat().replace("+00:00", "Z")
    decision = {
        "decidedAt": stamp, "fromNodes": 3, "toNodes": 5, "requiredNodes": 5, "reactiveNodes": 3, "applied": True,
        "reason": "Forecast", "message": "More traffic is expected.",
    }  # fmt: skip
    scaling = {
        "requiredNodes": 5,
        "reactiveNodes": 3,
        "leadTimeSeconds": 60,
        "observedAt": stamp,
        "decisions": [decision],
    }
    scaling |= {"demandP95BytesPerSecond": 4_500_000_000}
    nodes = (buffer_node("n1", cluster(), report(demand=10 * MB)), buffer_node("n2", cluster(), report(demand=5 * MB)))
    said = told(*nodes, buffer_node("n3", cluster()), scaling=scaling, spec={"scaling": {"mode": "Auto"}})
    assert "5 nodes needed in 60 s for 4.5 GB/s; 3 by present demand alone, which is 15.0 MB/s" in said
    assert "40 s ago: went from 3 to 5 nodes (Forecast). More traffic is expected." in said


def test_each_node_shows_forecast_beside_what_it_carries():
    points = [(120, 20 * MB, 30 * MB)]
    node = buffer_node("n1", cluster(), report(demand=10 * MB, points=points, seconds_ago=5))
    silent = buffer_node("n2", cluster())
    lines = told(node, silent).splitlines()
    assert " ".join(lines[-2].split()) == "n1 Active B (Probed) 10.0 MB/s 20.0 MB/s to 30.0 MB/s not yet 5 s ago"
    assert " ".join(lines[-1].split()) == "n2 silent - - - - never"


def test_what_a_node_foretold_stands_beside_what_came():
    judged = {"hits": 7, "falseAlarms": 2, "misses": 1, "trusted": True}
    lines = told(buffer_node("n1", cluster(), report(scores=judged))).splitlines()
    assert "yes, 7 of 9 right" in lines[-1]


@pytest.mark.parametrize(("number", "text"), [(0, "0 B/s"), (999, "999 B/s"), (1_500, "1.5 kB/s"), (2e12, "2.0 TB/s")])
def test_amounts_are_decimal(number, text):
    assert words.amount(number) == text


def test_progress_and_recommendations_are_no_trouble():
    quiet = [("Progressing", "True"), ("ScalingActive", "False"), ("LoadBalancerReady", "Unknown")]
    conditions = [Condition.parse(condition(kind, status, "Why")) for kind, status in quiet]
    assert words.troubles(conditions) == ()
