"""What boards tell of forecasts that were judged: bursts with a period, foreseen by a real agent, and then no more."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING

import pytest
from monitoring.dashboards.cluster import MARKS

from support.boards import AGO, FORESEEN, panels, to_show
from support.lb_lab import address, lab
from support.prometheus import Prometheus, prometheus

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sentinel_lab.namespaces import Namespace

pytestmark = [pytest.mark.soak, pytest.mark.timeout(1800)]
NODE, PORT = "node1", 9
PERIOD_S, BURST_S = 8.0, 1.0
EVER = "max_over_time(({})[20m:1s])"
"""A mark stands for a minute only."""
JUDGED = 'outcome:sentinel_forecast_judged:sum{{outcome="{}"}} > 0'
QUERIES = [
    pytest.param(expr, id=f"{panel.title}: {legend}")
    for _, panel in panels("forecast")
    for expr, legend in panel.queries
    if panel.title in FORESEEN or AGO in expr
]


@pytest.fixture(scope="module")
def watched(tmp_path_factory) -> Iterator[Prometheus]:
    """Bursts until some were foreseen, and none after that: the next alarm is a false one."""
    folder, enough, over = tmp_path_factory.mktemp("foreseen"), threading.Event(), threading.Event()
    with lab(folder) as built:
        busy = threading.Thread(target=bursts, args=(built.spaces["client"], enough, over), daemon=True)
        busy.start()
        try:
            with prometheus(folder, {"agent": [f"{address(NODE)}:9465"]}, built.spaces["client"]) as watching:
                watching.patience_s = 900.0
                watching.wait_for(JUDGED.format("hits"))
                enough.set()
                watching.wait_for(JUDGED.format("false_alarms"))
                yield watching
        finally:
            over.set()
            busy.join(60)


def bursts(space: Namespace, enough: threading.Event, over: threading.Event) -> None:
    """Twenty datagrams a second, and a hundred times as many in the first of each eight."""
    with space.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        while not over.wait(0.05):
            bursting = time.monotonic() % PERIOD_S < BURST_S and not enough.is_set()
            for _ in range(100 if bursting else 1):
                client.sendto(b"x" * 1200, (address(NODE), PORT))


@pytest.mark.parametrize("expr", QUERIES)
def test_what_was_foreseen_is_shown(watched, expr):
    assert watched.wait_for(to_show(expr))


@pytest.mark.parametrize(("expr", "name"), MARKS, ids=[name for _, name in MARKS])
def test_each_kind_of_mark_is_set(watched, expr, name):
    assert watched.wait_for(EVER.format(expr))
