"""Every alert about the operator stands when its fault is there, and falls when it is mended: a real operator under the
chart's rights, a real API server, and a real Prometheus that loads the product's rules and lets time pass faster."""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from monitoring.alerts import OPERATOR

from support.cluster import control_plane as planes
from support.operators import PATIENCE_S, Bench, rights, running, until
from support.prometheus import Prometheus, prometheus
from support.scaled import MB, NODES, agents_expect, ask_of_pool, forbid_orders, front, make_nodes, scaling

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]
FASTER = 30
ENOUGH, TOO_MUCH = 90 * MB, 125 * MB


@dataclass
class Fleet:
    """Agents that go on telling what they expect: what is old is not believed."""

    bench: Bench
    watching: Prometheus
    nodes: tuple[str, ...] = NODES
    each: int = ENOUGH

    def until(self, holds: Callable[[set[str]], bool], what: str) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while not holds(standing := self.watching.standing()):
            assert time.monotonic() < deadline, f"waited in vain until {what}; standing: {standing}"
            agents_expect(self.bench, self.each, *self.nodes)
            time.sleep(0.5)


@contextmanager
def silent_nodes(fleet: Fleet) -> Iterator[None]:
    """Only one of three has ever said anything."""
    fleet.nodes = NODES[:1]
    yield
    fleet.nodes = NODES


@contextmanager
def more_needed_than_allowed(fleet: Fleet) -> Iterator[None]:
    fleet.each = TOO_MUCH
    yield
    fleet.each = ENOUGH


@contextmanager
def rights_taken_away(fleet: Fleet) -> Iterator[None]:
    """It may not write its nodes' orders, and there is a new one to write."""
    forbid_orders(fleet.bench)
    ask_of_pool(fleet.bench, 32)
    yield
    fleet.bench.plane.kubectl("apply", "-f", "-", stdin=rights())
    ask_of_pool(fleet.bench, 48)


@contextmanager
def nobody_leads(fleet: Fleet) -> Iterator[None]:
    """The leader is dead, and who could lead in its place is frozen."""
    leader, standby = fleet.bench.operators
    standby.send_signal(signal.SIGSTOP)
    leader.kill()
    leader.wait()
    yield
    standby.send_signal(signal.SIGCONT)


FAULTS = {
    "ScalingBlind": silent_nodes,
    "ScalingLimited": more_needed_than_allowed,
    "OperatorRetries": rights_taken_away,
    "OperatorAbsent": nobody_leads,
}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, control_plane) -> Iterator[Fleet]:  # its skip is ours too
    with running(tmp_path_factory.mktemp("alerts"), planes.BARE) as bench:
        make_nodes(bench)
        bench.operator("op")
        front(bench, "Auto", max=3)
        bench.operator("standby")
        targets = {"sentinel-operator": [f"127.0.0.1:{port}" for port in bench.metrics_ports]}
        with prometheus(tmp_path_factory.mktemp("prometheus"), targets, times=FASTER, pause="500ms") as watching:
            watching.wait_for("count(up == 1) == 2")
            watching.wait_for("sentinel_operator_leading == 1")
            yield Fleet(bench, watching)


def test_each_alert_of_the_operator_has_its_fault():
    assert {f"Sentinel{name}" for name in FAULTS} == {each.name for each in OPERATOR}


@pytest.mark.parametrize("name", FAULTS)
def test_an_alert_stands_while_its_fault_is_there_and_falls_when_it_is_mended(fleet, name):
    alert = f"Sentinel{name}"
    if name != "ScalingBlind":  # which is how it begins
        fleet.until(lambda standing: alert not in standing, f"{alert} does not stand before")
        until(fleet.bench, "all report", lambda: scaling(fleet.bench).get("targetNodes") == 3)
    with FAULTS[name](fleet):
        fleet.until(lambda standing: alert in standing, f"{alert} stands")
    fleet.until(lambda standing: alert not in standing, f"{alert} falls")
