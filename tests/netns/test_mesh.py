"""Members of a mesh as processes in namespaces: what they believe when one is killed, stopped or cut off."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from sentinel_api.records import Alarm, Beat, NodeState, Role, Tier
from sentinel_api.wire import pack_alarm, pack_beat, pack_state
from sentinel_lab.bench.mesh_lab import address, endpoint, mesh_lab
from sentinel_lab.bench.mesh_member import CLUSTER
from sentinel_lab.topology import NODE_DEVICE, RECEIVER
from sentinel_mesh.directory import resolved
from sentinel_mesh.mesh import Mesh
from sentinel_mesh.place import Place
from support.netns import bottleneck

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sentinel_lab.bench.mesh_lab import MeshLab, Running

AGENT_CONFIG = {
    "trafficClasses": [{"name": "bulk", "match": [{"protocol": "UDP", "port": 9001}]}],
    "dataPlane": {"interfaces": [{"name": NODE_DEVICE, "rateBitsPerSecond": 80_000_000}]},
}
PATIENCE_S = 240.0  # only ends a hang
BEAT = pack_beat(Beat(incarnation=1, seq=1, period_ms=20)).hex()
STRANGER = """
import json, sys, zenoh
from sentinel_lab.namespaces import enter_for_good
enter_for_good(sys.argv[1])
config = zenoh.Config()
for key, value in json.loads(sys.argv[2]).items():
    config.insert_json5(key, json.dumps(value))
with zenoh.open(config) as session:
    print("up", flush=True)
    for line in sys.stdin:
        key, raw = line.split()
        told = bytes.fromhex(raw) if raw != "huge" else bytes(1 << 20)
        session.put(key, told, congestion_control=zenoh.CongestionControl.BLOCK)
        print("told", flush=True)
"""


@pytest.fixture
def lab() -> Iterator[MeshLab]:
    if os.geteuid() != 0:
        pytest.skip("needs root: network namespaces")
    for tool in ("nft", "ping"):
        if shutil.which(tool) is None:
            pytest.skip(f"needs {tool}")
    with mesh_lab(3) as lab:
        yield lab


@pytest.fixture
def three(lab) -> list[Running]:
    """Three members that believe each other."""
    members = [lab.launch(place) for place in (1, 2, 3)]
    for member in members:
        for other in members:
            if other is not member:
                member.until(other.node, "alive")
    return members


def test_states_reach_everybody_once_and_in_order(three):
    time.sleep(2)  # twenty of each are due: a starved machine tells a few of them
    words = {member.node: member.end() for member in three}
    for node, said in words.items():
        assert said["refused"] == {}
        for other in words.keys() - {node}:
            heard = [seq for name, seq, _ in said["heard"] if name == other]
            assert len(heard) >= 5
            assert heard == sorted(set(heard))
            assert set(heard) <= {seq for seq, _ in words[other]["sent"]}


def test_a_killed_process_is_suspected_and_its_successor_believed(lab, three):
    one, two, other = three
    at_ns = time.monotonic_ns()
    two.process.kill()
    for member in (one, other):
        member.until("n2", "suspected", at_ns)
    time.sleep(1.1)  # an incarnation counts seconds
    at_ns = time.monotonic_ns()
    lab.start(2)
    for member in (one, other):
        member.until("n2", "alive", at_ns)


def test_an_agent_that_ends_in_order_is_suspected_at_once(three):
    one, two, _ = three
    at_ns = time.monotonic_ns()
    assert two.end()["sent"]
    one.until("n2", "suspected", at_ns)


def test_a_stopped_agent_on_a_live_node_is_headless_and_comes_back(lab, three):
    one, two, _ = three
    at_ns = time.monotonic_ns()
    two.process.send_signal(signal.SIGSTOP)
    one.until("n2", "suspected", at_ns)
    assert lab.answers(1, 2)
    one.probes(n2="good")
    one.until("n2", "headless", at_ns)
    at_ns = time.monotonic_ns()
    two.process.send_signal(signal.SIGCONT)
    one.until("n2", "alive", at_ns)


def test_a_node_cut_off_silently_is_dead_by_two_witnesses_and_heals(lab, three):
    one, two, other = three
    at_ns = time.monotonic_ns()
    lab.cut(2)
    for member in (one, other, two):
        member.until("n2" if member is not two else "n1", "suspected", at_ns)
    assert not lab.answers(1, 2)
    one.probes(n2="failing")
    one.until("n2", "dead", at_ns)
    assert other.level("n2") == "suspected", "whoever has one witness only believes nobody dead"
    at_ns = time.monotonic_ns()
    lab.heal(2)
    assert lab.answers(1, 2)
    one.probes(n2="good")
    for member in (one, other):
        member.until("n2", "alive", at_ns)
    two.until("n1", "alive", at_ns)


def test_a_link_that_goes_down_and_up_is_survived(lab, three):
    one, _, _ = three
    at_ns = time.monotonic_ns()
    lab.set_link(2, "down")
    one.until("n2", "suspected", at_ns)
    at_ns = time.monotonic_ns()
    lab.set_link(2, "up")
    one.until("n2", "alive", at_ns)


def test_members_may_come_before_those_whom_they_name(lab):
    early = lab.start(1)
    late = lab.start(3)
    early.until("n3", "alive")
    late.until("n1", "alive")


@pytest.fixture
def stranger(lab) -> Iterator[Stranger]:
    with Stranger(lab) as stranger:
        yield stranger


class Stranger:
    """A process that speaks the engine's language and says what it likes."""

    def __init__(self, lab):
        peer = json.dumps({"mode": "peer", "scouting/multicast/enabled": False, "connect/endpoints": [endpoint(1)]})
        self.process = subprocess.Popen(
            [sys.executable, "-c", STRANGER, lab.namespace(2), peer],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __enter__(self):
        assert self.process.stdout.readline() == "up\n"
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait(PATIENCE_S)

    def tell(self, node, raw, kind="state"):
        self.process.stdin.write(f"sentinel/{CLUSTER}/{node}/{kind} {raw}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "told\n"


def test_what_a_stranger_says_is_counted_and_never_believed(lab, request):
    one, other = lab.launch(1), lab.launch(3)
    one.until("n3", "alive")
    stranger = request.getfixturevalue("stranger")
    old = NodeState(incarnation=1, seq=1, tier=Tier.B, role=Role.BUFFER)
    good = pack_state(replace(old, incarnation=2**32 - 1)).hex()
    stranger.tell("n1", good)
    stranger.tell("n3", pack_state(old).hex())
    stranger.tell("n3", "ff" * 100)
    stranger.tell("n3", good[:4] + "63" + good[6:])
    stranger.tell("n3", good + "00" * 200)
    stranger.tell("a%20b", good)
    stranger.tell("n3", "huge")
    for kind, other_version in (("beat", BEAT), ("alarm", pack_alarm(Alarm("n3", 1, 0, 1, 1.0, 1)).hex())):
        stranger.tell("n3", "ff" * 20, kind)
        stranger.tell("n3", "00" * 2000, kind)
        stranger.tell("n3", other_version[:4] + "63" + other_version[6:], kind)
    stranger.tell("n3", pack_alarm(Alarm("n3", 1, -3_600_000, 1, 1.0, 1)).hex(), "alarm")
    stranger.tell("n2", pack_alarm(Alarm("n3", 1, 0, 1, 1.0, 1)).hex(), "alarm")
    stranger.tell("n3", BEAT, "beat")
    stranger.tell("n9", good)
    one.until("n9", "alive")  # all that was told before has arrived
    assert other.process.poll() is None
    words = one.end()
    # Beside the states: a beat of a process of 1970, an alarm for an hour ago, and one of a node that another names.
    assert words["refused"] == {
        "impostor": 2, "replayed": 2, "garbage": 4, "unknown_version": 3, "oversize": 3, "strange_key": 1,
    }  # fmt: skip


def test_an_address_that_is_not_there_is_one_sentence(lab):
    argv = [
        sys.executable, "-c",
        "from sentinel_mesh.engine import Place; from sentinel_mesh.mesh import Mesh;"
        f"Mesh(Place('c', 'n', 1, ('{endpoint(1)}',)), None)",
    ]  # fmt: skip
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    assert done.returncode != 0
    assert f"the mesh cannot listen on tcp/{address(1)}" in done.stderr


NEIGHBOUR = """
import json, sys, threading, time
from sentinel_lab.namespaces import enter_for_good
from sentinel_mesh.engine import Place
from sentinel_mesh.mesh import Mesh
enter_for_good(sys.argv[1])
mesh = Mesh(Place("default", "neighbour", 1, ("tcp/10.77.2.2:7447",), ("tcp/10.77.2.1:7447",)), lambda told, seq: told)
while not (found := list(mesh.view().members.values())) or found[0].state is None or found[0].level.value != "alive":
    time.sleep(0.01)
state = found[0].state
print(json.dumps([found[0].name, found[0].level.value, state.tier.name, state.classes[1].headroom_bytes]), flush=True)
while mesh.view().level(found[0].name) is not None and mesh.view().level(found[0].name).value == "alive":
    time.sleep(0.01)
print(json.dumps("suspected"), flush=True)
mesh.close()
"""


def test_an_agent_tells_its_neighbour_what_it_can_take_until_it_is_killed(tmp_path):
    with bottleneck((9001,)) as node:
        config = tmp_path / "agent.yaml"
        config.write_text(json.dumps(AGENT_CONFIG))
        env = os.environ | {
            "SENTINEL_NODE_NAME": f"mesh-{os.getpid()}",
            "SENTINEL_MESH_LISTEN": "tcp/10.77.2.1:7447",
            "SENTINEL_MESH_PEERS": "tcp/10.77.2.2:7447",
        }
        command = [sys.executable, "-m", "sentinel_agent", "--config", str(config)]
        neighbour = subprocess.Popen(
            [sys.executable, "-c", NEIGHBOUR, node.spaces[RECEIVER].name], stdout=subprocess.PIPE, text=True
        )
        agent = subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL)
        try:
            name, level, tier, headroom_bytes = json.loads(neighbour.stdout.readline())
            assert (name, level, tier) == (env["SENTINEL_NODE_NAME"], "alive", "B")
            assert headroom_bytes > 0
            agent.kill()
            assert json.loads(neighbour.stdout.readline()) == "suspected"
            assert neighbour.wait(PATIENCE_S) == 0
        finally:
            for process in (agent, neighbour):
                process.kill()
                process.wait()
            neighbour.stdout.close()
            subprocess.run([*command, "detach"], env=env, capture_output=True, check=True)


def test_a_node_that_comes_behind_a_name_is_dialled_by_those_that_were_there(monkeypatch):
    """All of 127/8 is this machine. The newcomer's address sorts first, so it dials nobody itself."""
    home = f"127.{os.getpid() >> 8 & 255}.{os.getpid() & 255}"
    known = [f"{home}.2"]
    monkeypatch.setattr("sentinel_mesh.connection.resolved", lambda peers: resolved(peers, lambda _name: known))

    def joined(number):
        place = Place("c", f"n{number}", 1, (f"tcp/{home}.{number}:7447",), ("tcp/mesh.ns.svc:7447",))
        return Mesh(place, lambda _told, seq: NodeState(1, seq, Tier.B, Role.BUFFER), renewal_s=0.2)

    old, new = joined(2), None
    try:
        known.append(f"{home}.1")
        new = joined(1)
        deadline = time.monotonic() + PATIENCE_S
        while not old.renewed or not (found := old.view().members.get("n1")) or found.state is None:
            new.offer(True)
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert new.renewed == 0
    finally:
        for each in (old, new):
            if each is not None:
                each.close()
