"""A router as a process: its clients hear each other, and find it again after it was replaced."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from sentinel_api.records import Demand, NodeState, Role, Tier
from sentinel_mesh.mesh import Burst, Mesh
from sentinel_mesh.place import Place

PATIENCE_S = 120.0
BORN = 1_800_000_000


def router(endpoint: str, **more: str) -> subprocess.Popen[str]:
    env = (
        os.environ | {"SENTINEL_MESH_LISTEN": endpoint} | {f"SENTINEL_MESH_{name}": each for name, each in more.items()}
    )
    started = subprocess.Popen([sys.executable, "-m", "sentinel_mesh"], env=env, stderr=subprocess.PIPE, text=True)
    assert started.stderr is not None
    assert "passes on" in started.stderr.readline()
    return started


def end(process: subprocess.Popen[str]) -> int:
    process.send_signal(signal.SIGTERM)
    code = process.wait(PATIENCE_S)
    assert process.stderr is not None
    process.stderr.close()
    return code


def heard(meshes: list[Mesh[bool]]) -> bool:
    for each in meshes:
        each.offer(True)
    return all(len(each.view().members) == 1 and not each.silent() for each in meshes)


def wait_until_heard(meshes: list[Mesh[bool]]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not heard(meshes):
        assert time.monotonic() < deadline, [each.view() for each in meshes]
        time.sleep(0.05)


@pytest.fixture
def endpoint() -> str:
    """Below the ports that the kernel gives out: a client that dials one of those in vain may at last meet itself. All
    of 127/8 is this machine, and the address is this process's alone."""
    return f"tcp/127.{os.getpid() >> 8 & 255}.{os.getpid() & 255}.9:7447"


def test_clients_of_a_router_hear_each_other_and_find_its_successor(endpoint):
    first = router(endpoint)
    meshes: list[Mesh[bool]] = []
    try:
        for name in ("n1", "n2"):
            place = Place("default", name, BORN, (), routers=(endpoint,))
            meshes.append(Mesh(place, lambda _told, seq: NodeState(BORN, seq, Tier.B, Role.BUFFER)))
        wait_until_heard(meshes)
        assert end(first) == 0
        deadline = time.monotonic() + PATIENCE_S
        while heard(meshes):
            assert time.monotonic() < deadline, "without a router nobody should be heard"
            time.sleep(0.05)
        first = router(endpoint)
        wait_until_heard(meshes)
    finally:
        for each in meshes:
            each.close()
        end(first)


ZONES = ("east", "west")


@pytest.fixture
def zones():
    """A router of each zone, linked; where each listens."""
    ends = {
        zone: f"tcp/127.{os.getpid() >> 8 & 255}.{os.getpid() & 255}.{10 + at}:7447" for at, zone in enumerate(ZONES)
    }
    started = [router(end, ZONE=zone, PEERS=",".join(ends.values())) for zone, end in ends.items()]
    yield ends
    for each in started:
        end(each)


def test_of_another_zone_a_balancer_hears_the_sum_and_nobody(zones):
    """And an agent hears its own zone's alarms only."""
    meshes: dict[str, Mesh[bool]] = {}

    def spoken() -> bool:
        for each in meshes.values():
            each.offer(True)
        told = [meshes[f"lb-{zone}"].digests() for zone in ZONES]
        return all(set(each) == set(ZONES) and all(one.fresh_nodes == 2 for one in each.values()) for each in told)

    try:
        for zone, at in zones.items():
            for name in (f"lb-{zone}", f"{zone}-1", f"{zone}-2"):
                balances = name.startswith("lb")
                role, demand = (
                    (Role.EDGE, Demand()) if balances else (Role.BUFFER, Demand(1024, (2048,) * 4, (4096,) * 4))
                )
                place = Place("default", name, BORN, (), (), balances, not balances, (at,), zone=zone)
                meshes[name] = Mesh(
                    place, lambda _, seq, role=role, of=demand: NodeState(BORN, seq, Tier.B, role, demand=of)
                )
        deadline = time.monotonic() + PATIENCE_S
        while not spoken():
            assert time.monotonic() < deadline, [each.digests() for each in meshes.values()]
            time.sleep(0.05)
        for zone in ZONES:
            balancer, agent = meshes[f"lb-{zone}"], meshes[f"{zone}-1"]
            assert set(balancer.view().members) == {f"{zone}-1", f"{zone}-2"}
            assert [each.demand_now for each in balancer.digests().values()] == [2048, 2048]
            assert not agent.digests()
            assert not agent.view().members
        meshes["east-1"].alarm(Burst(1, 1_000_000))
        while not meshes["east-2"].alarms():
            assert time.monotonic() < deadline, "a neighbour of its zone hears it"
            time.sleep(0.05)
        assert not meshes["west-1"].alarms()
    finally:
        for each in meshes.values():
            each.close()


def test_a_mistaken_endpoint_is_one_sentence_and_exit_code_2():
    env = os.environ | {"SENTINEL_MESH_LISTEN": "nowhere"}
    done = subprocess.run(
        [sys.executable, "-m", "sentinel_mesh"],
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].endswith("write tcp/ADDRESS:PORT")
