"""What only the native provider promises: it leaves nothing behind, however it ends, and lasts when asked to."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.cluster import native, slots
from support.cluster.errors import Unavailable
from support.cluster.existing import ExistingCluster
from support.cluster.processes import Identity, wait_until
from support.cluster.provider import NodeSpec
from support.cluster.slots import Slot

TESTS = Path(__file__).parents[1]
# A cluster with a running pod, whose containers and cgroups must go too.
START = """
import json, signal, time
from support.cluster.native import NativeCluster
from support.cluster.node import PAUSE_IMAGE
from support.cluster.processes import wait_until
from support.cluster.provider import node_specs
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the run is in the background
cluster = NativeCluster(node_specs(1))
try:
    container = {"name": "pause", "image": PAUSE_IMAGE, "imagePullPolicy": "Never"}
    spec = {"containers": [container], "automountServiceAccountToken": False}
    pod = json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "left"}, "spec": spec})
    wait_until("the pod", lambda: cluster.kubectl("apply", "-f", "-", check=False, stdin=pod).returncode == 0, 240)
    cluster.kubectl("wait", "--for=condition=Ready", "pod/left", "--timeout=240s")
    print(cluster.slot.number, flush=True)
    time.sleep(600)
finally:
    cluster.close()
"""


@pytest.fixture(autouse=True)
def able() -> None:
    try:
        native.check()
    except Unavailable as reason:
        pytest.skip(str(reason))


def command(*argv: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(TESTS)}
    words = [sys.executable, "-m", "support.cluster", *argv]
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=False)


def processes(slot: Slot) -> list[Identity]:
    # Not by rglob: what containers and kubelets keep below it comes and goes.
    records = [*slot.folder.glob("processes/*.json"), *slot.folder.glob("node*/processes/*.json")]
    found = [Identity.read(record) for record in records]
    return [one for one in found if one is not None]


@dataclass(frozen=True, slots=True)
class Traces:
    """What one cluster leaves on this machine, told apart from that of a later one which was given the same slot: every
    test run takes the first free slot, and clears those of the dead."""

    slot: Slot
    token: str

    @classmethod
    def of(cls, slot: Slot) -> "Traces":
        return cls(slot, (slot.folder / "tokens.csv").read_text())

    def kept(self) -> bool:
        try:
            return (self.slot.folder / "tokens.csv").read_text() == self.token
        except FileNotFoundError:
            return False

    def linked(self) -> bool:
        return self.kept() and Path(f"/sys/class/net/{self.slot.link}").exists()

    def mounted(self) -> bool:
        """Mounts would keep the folder busy; those of a living cluster are in namespaces of its own."""
        mounts = [Path(line.split()[1]) for line in Path("/proc/mounts").read_text().splitlines()]
        return any(mount.is_relative_to(self.slot.folder) for mount in mounts)


@pytest.mark.parametrize("end", [pytest.param(signal.SIGINT, marks=pytest.mark.slow, id="SIGINT"), signal.SIGKILL])
def test_nothing_is_left_of_a_run_that_ends_early(end: signal.Signals) -> None:
    """A SIGKILL leaves files, which the next start removes; never a process, a mount or a link."""
    with subprocess.Popen(
        [sys.executable, "-c", START],
        env=os.environ | {"PYTHONPATH": str(TESTS)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as run:
        assert run.stdout is not None
        slot = Slot(int(run.stdout.readline()))
        started, cgroups, left = processes(slot), slots.cgroups(slot), Traces.of(slot)
        run.send_signal(end)
    assert cgroups
    assert len(started) == 10  # the switch, four of the control plane, the names, the node's holder and its three
    wait_until("the processes to end", lambda: not any(one.group() for one in started), 120)
    wait_until("the link to go", lambda: not left.linked(), 120)
    if end == signal.SIGKILL:
        slots.release(slots.take())
    assert not left.kept()
    assert not left.mounted()
    assert [path for path in cgroups if path.exists()] == []


@pytest.fixture(scope="module")
def by_hand() -> Iterator[Slot]:
    done = command("up", "--nodes", "2", "--label", "node1:sentinel.test/role=edge")
    assert done.returncode == 0, done.stderr
    number = int(done.stdout.split()[1])
    left = Traces.of(Slot(number))
    yield left.slot
    assert command("down", str(number)).returncode == 0
    assert not left.kept()
    assert not left.mounted()


def test_a_cluster_by_hand_outlives_the_command_that_started_it(by_hand: Slot) -> None:
    assert all(one.alive for one in processes(by_hand))
    number = str(by_hand.number)
    assert command("run", "--number", number, "node2", "cat", "/proc/sys/kernel/hostname").stdout == "node2\n"
    refused = command("run", "--number", number, "node3", "true")
    assert (refused.returncode, refused.stderr) == (1, "There is no node 'node3': there are node1, node2.\n")


def test_a_borrowed_cluster_gets_its_labels_back(by_hand: Slot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(by_hand.folder / "kubeconfig"))
    specs = [NodeSpec("any", {"sentinel.test/role": "buffer", "sentinel.test/new": "yes"}), NodeSpec("other")]
    borrowed = ExistingCluster(specs)
    try:
        assert borrowed.nodes == ("node1", "node2")
        assert borrowed.address("node2") == by_hand.node_address(2)
        assert labels(borrowed) == {"sentinel.test/role": "buffer", "sentinel.test/new": "yes"}
        for deed in (borrowed.cut, borrowed.heal, borrowed.stop_kubelet, borrowed.kill_kubelet, borrowed.run):
            with pytest.raises(
                Unavailable, match=r"the cluster is not ours: use --cluster=native or --cluster=kind\.$"
            ):
                deed("node1")
        for part in (borrowed.stop, borrowed.kill, borrowed.start):
            with pytest.raises(Unavailable, match=r"does not .* the etcd, for the cluster is not ours"):
                part("etcd")
    finally:
        borrowed.close()
    assert labels(borrowed) == {"sentinel.test/role": "edge"}


def labels(cluster: ExistingCluster) -> dict[str, str]:
    shown = cluster.kubectl(
        "get", "node", "node1", "-o", "go-template={{range $k,$v := .metadata.labels}}{{$k}}={{$v}} {{end}}"
    )
    pairs = (one.split("=") for one in shown.stdout.split())
    return {key: value for key, value in pairs if key.startswith("sentinel.test/")}


def test_more_nodes_than_a_borrowed_cluster_has_are_refused(by_hand: Slot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(by_hand.folder / "kubeconfig"))
    with pytest.raises(Unavailable, match="has 2 nodes and this test needs 3"):
        ExistingCluster([NodeSpec("a"), NodeSpec("b"), NodeSpec("c")])
