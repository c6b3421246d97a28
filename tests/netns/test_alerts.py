"""Every alert about nodes and balancers stands when its fault is there, and falls when it is mended: the product's own
processes, hurt one way after the other, watched by a real Prometheus that loads the product's rules."""

from __future__ import annotations

import shutil
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from monitoring.alerts import BALANCERS, NODES

from support import ward as hurt
from support.lb_lab import PATIENCE_S

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.ward import Ward

pytestmark = [pytest.mark.soak, pytest.mark.timeout(900)]

# Faults that do not hide each other are there at the same time, so that a run waits once for all of them.
CASES = {
    "a small node is flooded, its key is another's, and a stranger talks": (
        lambda on: (hurt.flooded(on), hurt.key_of_another(on), hurt.garbage_told(on, "node1")),
        {"ClassDrops", "PoolExhausted", "FlowTableFull", "MeshCertificateStale", "MeshRefuses"},
    ),
    "a foreign queue, an old certificate, too little CPU, a mesh that is cut": (
        lambda on: (
            hurt.foreign_queue(on),
            hurt.certificate_near_its_end(on),
            hurt.starved(on, on.lab.agents["node1"]),
            hurt.mesh_cut(on, "node2"),
        ),
        {"NodeOnlyObserves", "MeshCertificateEnds", "TicksMissed", "MeshAlone", "BackendSilent"},
    ),
    "a device that is gone, a tick that hangs, an agent that is killed": (
        lambda on: (hurt.device_gone(on), hurt.hung(on, "node1"), hurt.killed(on, on.lab.agents["node2"])),
        {"AgentStuck", "AgentSilent", "BackendSilent"},
    ),
    "a model that is missing, ticks that fail, a balancer whose tick hangs": (
        lambda on: (hurt.model_missing(on), hurt.failing(on, "node2"), hurt.hung(on, "lb1")),
        {"ForecastFallsBack", "TickFails", "BalancerStuck"},
    ),
    "a balancer and an agent that are frozen": (
        lambda on: (hurt.frozen(on, on.balancer), hurt.frozen(on, on.lab.agents["node1"])),
        {"BalancerSilent", "AgentSilent"},
    ),
    "no node can be reached, and flows come": (
        lambda on: (hurt.unplugged(on, "node1", "node2"), hurt.asked_for(on)),
        {"BackendDead", "NoBackendReady", "VipRefuses", "AgentSilent"},
    ),
    "a balancer without any node": (lambda on: (hurt.nobody_behind(on),), {"NoBackendReady"}),
}


@pytest.fixture(scope="module")
def ward(tmp_path_factory) -> Iterator[Ward]:
    if shutil.which("nft") is None:
        pytest.skip("nft is missing: install nftables")
    with hurt.ward(tmp_path_factory.mktemp("ward")) as made:
        yield made


def test_each_alert_is_provoked_by_one_of_the_faults():
    provoked = {f"Sentinel{name}" for _, names in CASES.values() for name in names}
    assert provoked == {each.name for each in (*NODES, *BALANCERS)}


@pytest.mark.parametrize("case", CASES)
def test_alerts_stand_while_the_fault_is_there_and_fall_when_it_is_mended(ward, case):
    faults, names = CASES[case]
    wanted = {f"Sentinel{name}" for name in names}
    until(ward, lambda standing: not standing & wanted, f"none of {wanted} stands before")
    with ExitStack() as stack:
        for fault in faults(ward):
            stack.enter_context(fault)
        stood: set[str] = set()
        until(ward, lambda standing: stood.update(standing) or wanted <= stood, f"{wanted} stand")
    until(ward, lambda standing: not standing & wanted, f"{wanted} fall")


def until(ward: Ward, holds, what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not holds(standing := ward.watching.standing()):
        assert time.monotonic() < deadline, f"waited in vain until {what}; standing: {standing}"
        time.sleep(0.2)
