"""A router as a process: its clients hear each other, and find it again after it was replaced."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from sentinel_api.records import NodeState, Role, Tier
from sentinel_mesh.mesh import Mesh
from sentinel_mesh.place import Place

PATIENCE_S = 120.0
BORN = 1_800_000_000


def router(endpoint: str) -> subprocess.Popen[str]:
    env = os.environ | {"SENTINEL_MESH_LISTEN": endpoint}
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
