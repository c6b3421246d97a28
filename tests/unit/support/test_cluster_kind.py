"""What the kind provider tells kind and Docker, as values, and when it refuses."""

import subprocess
from pathlib import Path

import pytest
import yaml

from support.cluster import kind
from support.cluster.errors import Unavailable
from support.cluster.provider import NodeSpec


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)


@pytest.fixture
def only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with nothing but what the test puts there."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(kind, "kubectl", lambda: Path("/bin/true"))
    return tmp_path


def test_the_config_has_a_worker_a_node_with_its_labels() -> None:
    config = yaml.safe_load(kind.config([NodeSpec("node1", {"sentinel.io/role": "edge"}), NodeSpec("node2")]))
    assert config["nodes"] == [
        {"role": "control-plane"},
        {"role": "worker", "labels": {"sentinel.io/role": "edge"}},
        {"role": "worker", "labels": {}},
    ]


def test_nodes_are_named_as_kind_names_them() -> None:
    assert kind.node_names("sn", 3) == ("sn-worker", "sn-worker2", "sn-worker3")


def test_creation_waits_and_keeps_its_own_kubeconfig() -> None:
    assert kind.create("sn", Path("c.yaml"), Path("k")) == [
        *("kind", "create", "cluster", "--name=sn", "--config=c.yaml", "--kubeconfig=k", "--wait=180s"),
    ]


@pytest.mark.parametrize(
    ("part", "manifest"),
    [("etcd", "etcd.yaml"), ("apiserver", "kube-apiserver.yaml"), ("scheduler", "kube-scheduler.yaml")],
)
def test_a_part_is_parked_and_comes_back_by_its_manifest(part, manifest) -> None:
    assert kind.park(part).endswith(f"mv /etc/kubernetes/manifests/{manifest} /etc/kubernetes/parked/")
    assert kind.unpark(part) == f"mv /etc/kubernetes/parked/{manifest} /etc/kubernetes/manifests/"


def test_a_crashed_part_is_parked_first_so_that_it_stays_dead() -> None:
    line = kind.crash("apiserver")
    assert line.index("mv ") < line.index("crictl stop --timeout 0")
    assert "--name '^kube-apiserver$'" in line


@pytest.mark.parametrize("line", [kind.crash_kubelet(), kind.park("etcd"), kind.crash("etcd"), kind.unpark("etcd")])
def test_every_line_is_a_shells(line) -> None:
    subprocess.run(["sh", "-n", "-c", line], check=True)


def test_a_crashed_kubelet_is_not_started_again_by_systemd() -> None:
    line = kind.crash_kubelet()
    assert line.index("Restart=no") < line.index("daemon-reload") < line.index("kill --signal=KILL kubelet")


def test_a_cut_goes_through_a_helper_of_the_nodes_own_image() -> None:
    command = kind.port_state("sha256:1", "veth7", kind.DISABLED)
    assert command[:4] == ["run", "--rm", "--privileged", "--network=host"]
    assert command[-3:] == ["sha256:1", "-c", "ip link set dev veth7 type bridge_slave state 0"]


@pytest.mark.parametrize(("there", "missing"), [([], "docker"), (["docker"], "kind")])
def test_a_missing_program_is_named(only, there, missing) -> None:
    for name in there:
        program(only, name, "exit 0")
    with pytest.raises(Unavailable, match=f"^{missing} is missing: install {missing}"):
        kind.check()


def test_a_docker_that_does_not_answer_is_refused(only) -> None:
    program(only, "docker", "exit 1")
    program(only, "kind", "exit 0")
    with pytest.raises(Unavailable, match="Docker does not answer: start it"):
        kind.check()


def test_a_machine_without_the_right_for_privileged_is_refused(only, monkeypatch) -> None:
    program(only, "docker", "exit 0")
    program(only, "kind", "exit 0")
    monkeypatch.setattr(kind, "capability_bounds", lambda: 0xFFFFFFFF & ~(1 << kind.CAP_SYS_RESOURCE))
    with pytest.raises(Unavailable, match="CAP_SYS_RESOURCE is taken"):
        kind.check()
    monkeypatch.setattr(kind, "capability_bounds", lambda: 0xFFFFFFFF)
    kind.check()
