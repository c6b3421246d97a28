"""A router as a process: its clients hear each other, and find it again after it was replaced."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from sentinel_api.records import Demand, NodeState, Role, Tier
from sentinel_api.v1alpha1.meshzones import MeshZone, MeshZones
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
    """Whoever begins before any router does waits for none, and one that is away keeps nobody from the next."""
    away = endpoint.replace(".9:", ".8:")
    meshes: list[Mesh[bool]] = []
    first: subprocess.Popen[str] | None = None
    try:
        for name in ("n1", "n2"):
            place = Place("default", name, BORN, (), routers=(away, endpoint))
            meshes.append(Mesh(place, lambda _told, seq: NodeState(BORN, seq, Tier.B, Role.BUFFER)))
        first = router(endpoint)
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
        if first is not None:
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
        told = [{at: (one.fresh_nodes, one.demand_now) for at, one in meshes[f"lb-{zone}"].digests().items()}
                for zone in ZONES]  # fmt: skip
        return told == [dict.fromkeys(ZONES, (2, 2048))] * 2

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
            assert not agent.digests()
            assert not agent.view().members
        while not meshes["east-2"].alarms():  # what was told before everybody knew who listens is lost
            meshes["east-1"].alarm(Burst(1, 1_000_000))
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


EDGES = ("lb", "lb-west")


def written(file, *, wide: bool, **nodes: tuple[str, list[str]]) -> None:
    """As the operator writes it; a mounted file changes at once."""
    zones = [MeshZone(name=zone, routers=(end,), nodes=tuple(members)) for zone, (end, members) in nodes.items()]
    fresh = file.with_suffix(".new")
    fresh.write_text(MeshZones(wide=wide, zones=tuple(zones), edges=EDGES).text)
    fresh.rename(file)


def test_the_file_of_zones_says_whom_a_node_hears_and_may_change_while_it_runs(zones, tmp_path):
    """It comes into a zone when it is named, hears every zone while that is wide, and after that its own alone, but for
    balancers."""
    file = tmp_path / "zones"
    east = (zones["east"], ["lb", "n1"])
    written(file, wide=True, east=east, west=(zones["west"], []))
    meshes: dict[str, Mesh[bool]] = {}

    def join(name: str, *, balances: bool) -> None:
        place = Place("default", name, BORN, (), attentive=balances, alarms_only=not balances, zones=file)
        role = Role.EDGE if balances else Role.BUFFER
        meshes[name] = Mesh(place, lambda _, seq: NodeState(BORN, seq, Tier.B, role), renewal_s=0.2)

    def heard_by_the_balancer() -> set[str]:
        for each in meshes.values():
            each.offer(True)
        view, silent = meshes["lb"].view(), meshes["lb"].silent()
        return {name for name in view.members if name not in silent}

    def wait_until_heard(names: set[str], chart: dict[str, str]) -> None:
        deadline = time.monotonic() + PATIENCE_S
        while heard_by_the_balancer() != names or meshes["lb"].zones() != ("east" if chart else "", chart):
            assert time.monotonic() < deadline, (names, meshes["lb"].view(), [each.trouble for each in meshes.values()])
            time.sleep(0.05)

    whole = {"lb": "east", "n1": "east", "n2": "west", "lb-west": "west"}

    try:
        join("lb", balances=True)
        join("n1", balances=False)
        join("n2", balances=False)
        join("lb-west", balances=True)
        wait_until_heard({"n1"}, {})
        written(file, wide=True, east=east, west=(zones["west"], ["n2", "lb-west"]))
        wait_until_heard({"n1", "n2", "lb-west"}, {})
        written(file, wide=False, east=east, west=(zones["west"], ["n2", "lb-west"]))
        wait_until_heard({"n1", "lb-west"}, whole)
        deadline = time.monotonic() + PATIENCE_S
        while set(meshes["lb"].digests()) != {"east", "west"}:
            assert time.monotonic() < deadline, "what it hears of the others are sums"
            time.sleep(0.05)
    finally:
        for each in meshes.values():
            each.close()
