"""The agent as a process on a node between a sender and a receiver: what it leaves, takes over and hands back."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import yaml

from sentinel_bpf import attach
from sentinel_bpf import object as bpf_object
from sentinel_bpf.buffer import wire
from sentinel_bpf.probe import BPFFS
from sentinel_lab.dataplane import OBJECT
from sentinel_lab.namespaces import run
from sentinel_lab.topology import NODE_DEVICE, RECEIVER_ADDRESS
from sentinel_mesh.priority import prefer
from support.agent import CONFIG, LEASE_S, PORT, RATE_BITS, START_S, Agent
from support.load import figure
from support.netns import bottleneck, wait_until
from support.tier_a import EXIT_DEVICE, quiet

if TYPE_CHECKING:
    from collections.abc import Iterator

OTHER = OBJECT.parent / "test/other.bpf.o"


@pytest.fixture
def node():
    with bottleneck((PORT,)) as made:
        yield made


@pytest.fixture
def agent(node, tmp_path) -> Iterator[Agent]:
    made = Agent(tmp_path)
    yield made
    made.end_all()
    made.forget()


def ours_left() -> list[str]:
    """What of the agent is still in this namespace."""
    found = [f"program {attach.occupant(NODE_DEVICE)}"] if attach.occupant(NODE_DEVICE) else []
    devices = subprocess.run(["ip", "-o", "link"], capture_output=True, text=True, check=True).stdout
    return found + [line for line in devices.splitlines() if "sn-ifb" in line]


def nice_of(thread: int) -> int:
    return os.getpriority(os.PRIO_PROCESS, thread)


def best_rank() -> int:
    """What this system grants a thread that asks."""
    with ThreadPoolExecutor(1) as asker:
        return asker.submit(lambda: (prefer(), nice_of(threading.get_native_id()))[1]).result()


def test_it_queues_real_packets_and_loses_none_within_the_rate(node, agent):
    process = agent.start()
    assert agent.state()["tier"] == "B"
    assert nice_of(process.pid) == best_rank(), "the tick waits for whoever has the interpreter and no CPU"
    node.send(PORT, 50)
    wait_until(lambda: node.received_in_all(PORT) == 50, "all arrive")
    wait_until(lambda: agent.counted() == 50, "all are counted")


def test_a_killed_agent_slows_nothing_down_and_its_successor_takes_over_without_a_loss(node, agent):
    first = agent.start()
    node.send(PORT, 20)
    first.kill()
    first.wait()
    for _ in range(40):  # across the end of the lease
        node.send(PORT, 5)
        time.sleep(LEASE_S / 20)
    wait_until(lambda: node.received_in_all(PORT) == 220, "nothing is lost")
    agent.start()
    node.send(PORT, 10)
    wait_until(lambda: node.received_in_all(PORT) == 230, "nothing is lost on the way back into the queue")
    wait_until(lambda: agent.counted() == 230, "the counters go on where they were")


def leaf_limit() -> int:
    """Bytes that the queue of class 1 may hold on its way out, as the kernel says."""
    told = json.loads(run("tc", "-json", "qdisc", "show", "dev", EXIT_DEVICE))
    (leaf,) = [each for each in told if each["kind"] == "bfifo" and each["parent"] == "5f28:1"]
    return int(leaf["options"]["limit"])


def sent_by_the_class() -> int:
    spot = wire.Spot(socket.if_nametoindex(EXIT_DEVICE), parent=0x5F28_0001, handle=0x6028_0000)
    return wire.Rtnl().leaves([spot])[spot.parent].sent_packets


def test_a_killed_agent_leaves_its_egress_queue_with_its_classes_and_its_last_limit(node, agent):
    quiet(node)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as service:
        service.bind(("0.0.0.0", PORT))

        def answer(count: int) -> None:
            for _ in range(count):
                service.sendto(bytes(1000), (RECEIVER_ADDRESS, PORT))

        interface = {"name": EXIT_DEVICE, "direction": "Egress", "rateBitsPerSecond": RATE_BITS}
        process = agent.start({**CONFIG, "dataPlane": {"interfaces": [interface]}})
        assert agent.state()["tier"] == "B"
        answer(20)
        wait_until(lambda: node.received_in_all(PORT) == 20, "all arrive")
        wait_until(lambda: agent.counted() == 20, "all that left are counted")
        wait_until(lambda: agent.counted("sentinel_class_sent_packets_total") == 20, "the queue sent them")
        process.kill()
        process.wait()
        limit = leaf_limit()
        time.sleep(2 * LEASE_S)
        answer(30)
        wait_until(lambda: node.received_in_all(PORT) == 50, "nothing is lost past the lease")
        assert sent_by_the_class() == 50, "past the lease each packet still finds its class"
        assert leaf_limit() == limit
        agent.start({**CONFIG, "dataPlane": {"interfaces": [interface]}})
        answer(5)
        wait_until(lambda: agent.counted() == 55, "the successor counts on")


def test_an_agent_that_is_frozen_lets_go_and_resumes_with_its_late_ticks_dropped(node, agent):
    process = agent.start()
    process.send_signal(signal.SIGSTOP)
    time.sleep(2 * LEASE_S)
    node.send(PORT, 30)
    wait_until(lambda: node.received_in_all(PORT) == 30, "packets pass while the agent is frozen")
    process.send_signal(signal.SIGCONT)
    wait_until(lambda: bool(agent.state()), "it answers again")
    before = agent.state()["seq"]
    wait_until(lambda: agent.state()["seq"] > before, "it ticks again")


def test_told_to_stop_it_keeps_its_place_and_detach_leaves_nothing(node, agent):
    process = agent.start()
    process.terminate()
    assert process.wait(START_S) == 0
    assert ours_left(), "a successor should find program and queue"
    agent.detach()
    assert ours_left() == []
    assert not (BPFFS / f"sentinel_{agent.name}").exists()
    node.send(PORT, 10)
    wait_until(lambda: node.received_in_all(PORT) == 10, "the way is free")


def test_with_detach_on_exit_nothing_stays(agent):
    process = agent.start({**CONFIG, "dataPlane": {**CONFIG["dataPlane"], "onAgentExit": "Detach"}})
    process.terminate()
    assert process.wait(START_S) == 0
    assert ours_left() == []


@pytest.fixture
def foreign(node) -> Iterator[attach.Occupant]:
    """Somebody else's XDP program on the node's device."""
    pin = BPFFS / f"foreign_{os.getpid()}" / "link"
    with bpf_object.load(OTHER) as loaded:
        attach.attach(next(iter(loaded.programs.values())), NODE_DEVICE, attach.Hook.XDP, pin)
        yield attach.occupant(NODE_DEVICE)
        attach.detach(pin)


def test_a_foreign_program_stays_and_the_agent_only_observes(node, foreign, agent):
    agent.start()
    state = agent.state()
    assert state["tier"] == "C"
    assert "not ours" in state["why"]
    assert attach.occupant(NODE_DEVICE) == foreign
    node.send(PORT, 10)
    wait_until(lambda: node.received_in_all(PORT) == 10, "packets pass")
    figure("foreign XDP there first", tier=state["tier"], sent=10, lost=0)


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        pytest.param({"pool": {"minBytes": 9, "maxBytes": 1}}, "pool", id="a pool upside down"),
        pytest.param({"dataPlane": {"interfaces": [{"name": "none0"}]}}, "no interface none0", id="no such device"),
        pytest.param(
            {"dataPlane": {"interfaces": [{"name": NODE_DEVICE}, {"name": NODE_DEVICE, "direction": "Egress"}]}},
            "leave one of them",
            id="one device in both directions",
        ),
    ],
)
def test_a_mistake_in_the_file_is_one_sentence_and_exit_code_2(node, tmp_path, config, sentence):
    path = tmp_path / "agent.yaml"
    path.write_text(yaml.safe_dump(config))
    argv = [sys.executable, "-m", "sentinel_agent", "--config", str(path)]
    name = f"mistaken-{os.getpid()}"
    env = os.environ | {"SENTINEL_NODE_NAME": name}
    done = subprocess.run(argv, env=env, capture_output=True, text=True, check=False, timeout=START_S)
    assert done.returncode == 2
    assert not (BPFFS / f"sentinel_{name}").exists(), "nothing half-applied"
    assert sentence in done.stderr.splitlines()[-1]
