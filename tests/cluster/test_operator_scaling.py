"""The autoscaler in a real operator against a real API server, under the chart's rights; the agents are told here."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from sentinel_operator.decide.spares import SETTLE
from support.boards import SCALED, offered, panels, to_show
from support.cluster import control_plane as planes
from support.cluster.processes import wait_until
from support.operators import FRONT, GROUP, PATIENCE_S, SYSTEM, Bench, rights, running, until
from support.prometheus import prometheus
from support.scaled import (
    MB,
    NODES,
    agents_expect,
    ask_of_pool,
    decided_again,
    empty,
    forbid_orders,
    front,
    make_nodes,
    ordered,
    scaling,
    taken,
)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, control_plane) -> Iterator[Bench]:  # its skip is ours too
    # Without controllers: they would find that nobody runs the spares, and call them not ready.
    with running(tmp_path_factory.mktemp("scaling"), planes.BARE) as here:
        make_nodes(here)
        yield here


@pytest.fixture
def fleet(bench: Bench) -> Iterator[Bench]:
    """Afterwards there is no cluster, no operator, and every spare is spare again."""
    yield bench
    for process in bench.operators:
        process.send_signal(signal.SIGTERM)  # first, or it would put its finalizer back
        process.wait(PATIENCE_S)
    bench.plane.kubectl("apply", "-f", "-", stdin=rights())
    empty(bench)


def test_auto_takes_a_spare_when_the_forecast_rises_and_gives_it_back_drained(fleet):
    fleet.operator("op")
    # Measured, it would be the moment that a report by hand takes, and next to nothing is expected within that.
    front(fleet, "Auto", scaleDown={"stabilisationSeconds": 0}, leadTimeSeconds=120)
    agents_expect(fleet, 90 * MB, *NODES)
    until(fleet, "three suffice", lambda: fleet.condition("ForecastReady") == ("True", "Forecasting"))
    assert taken(fleet) == list(NODES)

    agents_expect(fleet, 100 * MB, *NODES[:2])
    agents_expect(fleet, 175 * MB, NODES[2])  # only the last word calls for another node, whenever somebody decides
    until(fleet, "a spare is taken", lambda: taken(fleet) == [*NODES, "s1"])
    until(fleet, "spec.nodes says so", lambda: fleet.get(FRONT)["spec"]["nodes"] == 4)
    newest = scaling(fleet)["decisions"][0]
    assert (newest["fromNodes"], newest["toNodes"], newest["reason"], newest["applied"]) == (3, 4, "Forecast", True)
    assert newest["inputs"]["demandP95BytesPerSecond"] == 375 * MB
    until(fleet, "it has orders", lambda: "s1" in ordered(fleet))
    decided_again(fleet)
    assert taken(fleet) == [*NODES, "s1"], "a node that is only starting calls for no other one"

    agents_expect(fleet, 125 * MB, "s1")
    until(fleet, "five are called for", lambda: taken(fleet) == [*NODES, "s1", "s2"])
    until(fleet, "the second has orders", lambda: "s2" in ordered(fleet))
    agents_expect(fleet, 10 * MB, *NODES, "s1", "s2")
    for name in ("s1", "s2"):
        orders = f"{GROUP}/buffernodes/{name}"
        until(fleet, f"{name} drains", lambda orders=orders: fleet.get(orders)["spec"]["desiredState"] == "Draining")
        assert name in taken(fleet), "it keeps its role while flows are on it"
        agents_expect(fleet, 0, name, state="Draining", after=SETTLE)
        until(fleet, f"{name} is let go", lambda name=name: name not in taken(fleet))
    assert scaling(fleet)["decisions"][0]["reason"] == "LessDemand"
    assert taken(fleet) == list(NODES)


def test_recommend_only_recommends(fleet):
    fleet.operator("op")
    front(fleet, "Recommend")
    agents_expect(fleet, 125 * MB, *NODES)
    until(fleet, "it recommends four", lambda: scaling(fleet).get("requiredNodes") == 4)
    decided_again(fleet)
    assert fleet.condition("ScalingActive") == ("False", "RecommendOnly")
    assert [d["applied"] for d in scaling(fleet)["decisions"]] == [False]
    assert "targetNodes" not in scaling(fleet)
    assert taken(fleet) == list(NODES)


def test_a_leader_killed_between_commit_and_act_scales_once(fleet):
    leader = fleet.operator("op")
    front(fleet, "Auto")
    agents_expect(fleet, 90 * MB, *NODES)
    until(fleet, "three suffice", lambda: scaling(fleet).get("targetNodes") == 3)
    # Without the right to change nodes it gets as far as the commit, and no farther, whenever the kill comes.
    role = json.loads(fleet.plane.kubectl("get", "clusterrole", "sentinel-operator", "-o", "json").stdout)
    (rule,) = (number for number, rule in enumerate(role["rules"]) if rule["resources"] == ["nodes"])
    nodes = json.dumps([{"op": "replace", "path": f"/rules/{rule}/verbs", "value": ["list", "watch"]}])
    fleet.plane.kubectl("patch", "clusterrole", "sentinel-operator", "--type=json", "-p", nodes)
    until(fleet, "it may change no node", lambda: not fleet.may("patch", "nodes"))
    agents_expect(fleet, 125 * MB, *NODES)
    until(fleet, "four are written down", lambda: scaling(fleet).get("targetNodes") == 4)
    leader.kill()
    leader.wait()
    assert taken(fleet) == list(NODES)
    fleet.plane.kubectl("delete", "lease", "-n", SYSTEM, "--all")  # how long a Lease lasts is measured elsewhere

    fleet.plane.kubectl("apply", "-f", "-", stdin=rights())
    fleet.operator("successor")
    until(fleet, "the successor acts", lambda: taken(fleet) == [*NODES, "s1"])
    decided_again(fleet)
    assert taken(fleet) == [*NODES, "s1"]
    assert [(d["fromNodes"], d["toNodes"]) for d in scaling(fleet)["decisions"]] == [(3, 4)]


@pytest.mark.slow
def test_a_write_that_is_refused_is_told_and_stops_no_other(fleet):
    fleet.operator("op")
    front(fleet, "Auto")
    agents_expect(fleet, 90 * MB, *NODES)
    until(fleet, "three suffice", lambda: scaling(fleet).get("targetNodes") == 3)
    forbid_orders(fleet)
    ask_of_pool(fleet, 32)
    until(fleet, "it is told", lambda: fleet.condition("Degraded") == ("True", "ApplyFailed"))
    until(fleet, "looks do not look well", lambda: looks(fleet, "Invalid"))
    until(fleet, "an Event names it", lambda: "refuses to apply BufferNode n1 (403)" in degraded_by(fleet))
    assert '"event": "write_refused"' in fleet.logs()
    agents_expect(fleet, 125 * MB, *NODES)
    until(fleet, "a spare is taken all the same", lambda: taken(fleet) == [*NODES, "s1"])
    fleet.plane.kubectl("apply", "-f", "-", stdin=rights())
    ask_of_pool(fleet, 48)  # what is new is tried at once, what was refused later and later
    until(fleet, "all have orders", lambda: ordered(fleet) == {*NODES, "s1"})
    until(fleet, "all is well", lambda: fleet.condition("Degraded")[0] == "False")


def degraded_by(bench: Bench) -> str:
    """What Events of refused writes say."""
    events = bench.get("/api/v1/namespaces/default/events")["items"]
    return "\n".join(each["message"] for each in events if each["reason"] == "ApplyFailed")


def looks(bench: Bench, outcome: str) -> float:
    with urllib.request.urlopen(f"http://127.0.0.1:{bench.metrics_ports[-1]}/metrics", timeout=60) as said:
        told = said.read().decode().splitlines()
    name = f'sentinel_operator_looks_total{{outcome="{outcome}"}} '
    return sum(float(line.removeprefix(name)) for line in told if line.startswith(name))


def test_the_scale_of_another_object_is_written_only_where_the_chart_allows_it(fleet):
    fleet.operator("op")
    pool = {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "pool"},
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": {"app": "pool"}},
            "template": {
                "metadata": {"labels": {"app": "pool"}},
                "spec": {"containers": [{"name": "c", "image": "i"}]},
            },
        },
    }
    fleet.plane.kubectl("apply", "-f", "-", stdin=json.dumps(pool))
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "pool"}
    front(fleet, "Auto", driver={"type": "ScaleSubresource", "target": target})
    agents_expect(fleet, 125 * MB, *NODES)
    until(fleet, "it may not", lambda: fleet.condition("ScalingLimited") == ("True", "DriverUnavailable"))

    fleet.plane.kubectl(
        "apply", "-f", "-", stdin=rights(scaleTargets=[{"apiGroup": "apps", "resource": "deployments"}])
    )
    deployment = "/apis/apps/v1/namespaces/default/deployments/pool"
    wait_until("the pool has grown", lambda: fleet.get(deployment)["spec"]["replicas"] == 4, PATIENCE_S)
    assert taken(fleet) == list(NODES)
    fleet.plane.kubectl("delete", "deployment", "pool")


def test_a_decision_is_seen_in_the_dashboard_and_explained(fleet, tmp_path):
    fleet.operator("op")
    front(fleet, "Auto")
    agents_expect(fleet, 125 * MB, *NODES)
    with prometheus(tmp_path, {"sentinel-operator": [f"127.0.0.1:{fleet.metrics_ports[-1]}"]}) as watching:
        until(fleet, "a spare is taken", lambda: taken(fleet) == [*NODES, "s1"])
        watching.wait_for("sentinel_scaling_target_nodes")
        agents_expect(fleet, 125 * MB, *NODES)  # what was told before Prometheus was up may soon be old
        ours = [panel for _, panel in panels("operator")]
        ours += [panel for _, panel in panels("cluster") if panel.title in SCALED]
        for panel in ours:
            for expr, _ in panel.queries:
                assert watching.wait_for(to_show(expr)), panel.title
        assert all(watching.wait_for(query) for query in offered("operator"))
        page = (Path(__file__).parents[2] / "docs/reference/metrics.md").read_text()
        told = {each["metric"]["__name__"] for each in watching.answers('{__name__=~"sentinel_.*"}')}
        assert {name for name in told if not name.endswith("_created") and f"| `{name}` |" not in page} == set()
    argv = [sys.executable, "-m", "sentinel_cli", "explain", "buffercluster/front"]
    env = os.environ | {"KUBECONFIG": str(fleet.kubeconfig)}
    said = subprocess.run(argv, env=env, capture_output=True, text=True, check=True, timeout=PATIENCE_S).stdout
    assert "4 nodes are asked for. Last change: " in said, "people are told the same"
    assert "present demand alone would call for 2" in said
