"""Every query of the dashboards, asked of a real Prometheus that scraped real agents and a real balancer under load."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from monitoring.rules import RECORDINGS

from support.board_lab import AGENTS, JOBS, astray, board_lab, strays
from support.boards import AGO, FORESEEN, SCALED, offered, panels, to_show
from support.lb_lab import PATIENCE_S, address, echoed
from support.prometheus import Prometheus, prometheus
from support.terminal import terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.lb_lab import Lab

pytestmark = pytest.mark.timeout(900)
BOARDS = ("cluster", "node", "forecast", "balancer")
QUERIES = [
    pytest.param(expr, id=f"{board}: {panel.title}: {legend}")
    for board, panel in panels(*BOARDS)
    for expr, legend in panel.queries
    if panel.title not in (*FORESEEN, *SCALED)
]


@pytest.fixture(scope="module")
def watched(tmp_path_factory) -> Iterator[Prometheus]:
    """Flows come and go until the last query is answered."""
    folder = tmp_path_factory.mktemp("watched")
    with board_lab(folder) as built:
        over = threading.Event()
        busy = threading.Thread(target=load, args=(built, over), daemon=True)
        busy.start()
        try:
            with prometheus(folder, JOBS, built.spaces["client"]) as watching:
                watching.wait_for("count(up == 1) == 4")
                watching.wait_for("count_over_time(sentinel_ticks_total[30s]) > 10")
                yield watching
        finally:
            over.set()
            busy.join(60)


def load(built: Lab, over: threading.Event) -> None:
    with strays(built) as lost:
        while not over.wait(0.05):
            with suppress(OSError), built.connected() as bulk, built.datagrams() as few:
                echoed(bulk, b"x" * 100_000)
                echoed(few)
            astray(lost)


@pytest.mark.parametrize("rule", RECORDINGS, ids=lambda rule: rule.record)
def test_every_kept_sum_has_data(watched, rule):
    assert watched.wait_for(rule.record)


@pytest.mark.parametrize("expr", QUERIES)
def test_every_query_of_a_panel_returns_data(watched, expr):
    assert watched.wait_for(to_show(expr).replace(AGO, ""))  # a minute would be waited for


@pytest.mark.parametrize("query", sorted(set(offered(*BOARDS))))
def test_every_choice_of_a_board_has_something_to_offer(watched, query):
    assert watched.wait_for(query)


def test_every_metric_that_is_scraped_stands_in_the_reference(watched):
    watched.wait_for("sentinel_lb_ticks_total")
    page = (Path(__file__).parents[2] / "docs/reference/metrics.md").read_text()
    known = set(re.findall(r"^\| `(\w+)`", page, re.MULTILINE))
    found = {each["metric"]["__name__"] for each in watched.answers('{job=~"agent|balancer",__name__=~"sentinel_.*"}')}
    assert {re.sub(r"_(bucket|count|sum)$", "", name) for name in found} <= known


def topped(watched) -> dict:
    argv = [sys.executable, "-m", "sentinel_cli", "top", *map(address, AGENTS), "--once", "--json"]
    with watched.space.entered():
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


def test_top_shows_what_real_agents_tell(watched):
    told = topped(watched)
    deadline = time.monotonic() + PATIENCE_S
    while any(node["error"] for node in told["nodes"]):  # who does not answer in two seconds is told so
        assert time.monotonic() < deadline, told
        told = topped(watched)
    assert len(told["nodes"]) == 2
    assert all(node["poolBytes"]["total"] > 0 for node in told["nodes"])
    assert all(node["forecastBytesPerSecond"].keys() == {"30s", "60s", "120s", "300s"} for node in told["nodes"])
    classes = [each for each in told["classes"] if each["name"] == "gold"]
    assert len(classes) == len(AGENTS)
    assert all(each["limit"] > 0 for each in classes)


def test_top_watches_real_agents_in_a_terminal(watched):
    argv = [sys.executable, "-m", "sentinel_cli", "top", *map(address, AGENTS)]
    with watched.space.entered(), terminal(argv) as seen:
        seen.wait_for("2 of 2 nodes answer")
        seen.wait_for("gold")
        seen.wait_for("expect in 30s, 60s, 120s, 300s")
        seen.type("q")
        assert seen.end() == 0
