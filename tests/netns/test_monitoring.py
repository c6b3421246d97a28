"""Every query of the dashboards, asked of a real Prometheus that scraped real agents and a real balancer under load."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
from monitoring.dashboards import DASHBOARDS
from monitoring.rules import RECORDINGS

from support.lb_lab import PATIENCE_S, address, echoed, lab, wait_until
from support.prometheus import Prometheus, prometheus

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.timeout(900)
AGENTS, BALANCER = ("node1", "node2"), "lb1"
CHOSEN = {"$class": ".*", "$node": ".*", "$balancer": ".*", "$__rate_interval": "20s"}
QUERIES = [
    pytest.param(panel, expr, id=f"{name}: {panel.title}: {legend}")
    for name in ("cluster", "node", "forecast", "balancer")
    for row in DASHBOARDS[name].rows
    for panel in row.panels
    for expr, legend in panel.queries
]


@pytest.fixture(scope="module")
def watched(tmp_path_factory) -> Iterator[Prometheus]:
    """Flows come and go until the last query is answered."""
    folder = tmp_path_factory.mktemp("watched")
    jobs = {"agent": [f"{address(node)}:9465" for node in AGENTS], "balancer": [f"{address(BALANCER)}:9467"]}
    with lab(folder) as built:
        built.balancers[BALANCER].start()
        wait_until(lambda: built.states() == dict.fromkeys(AGENTS, "ready"), "both nodes are ready")
        over = threading.Event()
        busy = threading.Thread(target=lambda: load(built, over), daemon=True)
        busy.start()
        with prometheus(folder, jobs, built.spaces["client"]) as watching:
            watching.wait_for("count(up == 1) == 3")
            watching.wait_for("count_over_time(sentinel_ticks_total[30s]) > 10")
            yield watching
        over.set()
        busy.join(60)


def load(built, over: threading.Event) -> None:
    while not over.wait(0.05):
        with built.connected() as bulk, built.datagrams() as few:
            echoed(bulk, b"x" * 100_000)
            echoed(few)


@pytest.mark.parametrize(
    "rule", [each for each in RECORDINGS if "_judged" not in each.record], ids=lambda rule: rule.record
)
def test_every_kept_sum_has_data(watched, rule):
    assert watched.wait_for(rule.record)


@pytest.mark.parametrize(("panel", "expr"), QUERIES)
def test_every_query_of_a_panel_returns_data(watched, panel, expr):
    for variable, value in CHOSEN.items():
        expr = expr.replace(variable, value)
    expr = expr.replace(" offset 1m", "")  # a minute would be waited for
    if panel.idle:
        watched.answers(expr)  # is a query, and may be without an answer
    else:
        assert watched.wait_for(expr)


def test_top_shows_what_real_agents_tell(watched):
    argv = [sys.executable, "-m", "sentinel_cli", "top", *map(address, AGENTS), "--once", "--json"]
    with watched.space.entered():
        said = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=PATIENCE_S).stdout
    told = json.loads(said)
    assert [node["error"] for node in told["nodes"]] == ["", ""]
    assert all(node["poolBytes"]["total"] > 0 for node in told["nodes"])
    classes = [each for each in told["classes"] if each["name"] == "gold"]
    assert len(classes) == len(AGENTS)
    assert all(each["limit"] > 0 for each in classes)
