"""What the doctor concludes from what it saw."""

from dataclasses import replace

import pytest

from sentinel_bpf import probe
from sentinel_cli.doctor.decide import TOOLS, Check, State, diagnose
from sentinel_cli.doctor.observe import Machine

FEATURES = probe.Features(
    kernel="6.12.1",
    version=(6, 12),
    architecture="x86_64",
    libbpf="1.5",
    btf=True,
    jit=True,
    xdp=True,
    bpf_links=True,
    tcx=True,
    qdisc_bpf=False,
    traffic_control=frozenset({"cls_bpf", "clsact", "htb", "ifb", "mirred", "tbf"}),
    capabilities=frozenset({"BPF", "NET_ADMIN", "PERFMON", "SYS_ADMIN"}),
    bpffs=True,
    memlock_bytes=None,
)
HEALTHY = Machine(
    system="Debian 13",
    cores=2,
    memory_bytes=8 << 30,
    python="3.13.1",
    features=FEATURES,
    tools={tool.command: "1.0" for tool in TOOLS} | {"containerd": "1.6", "runc": "1.1", "kind": "0.30"},
    objects=frozenset({"agent"}),
    docker="answers",
    cni=True,
    kubeconfig="/home/user/.kube/config",
)


def without_tool(machine: Machine, name: str) -> Machine:
    return replace(machine, tools={tool: version for tool, version in machine.tools.items() if tool != name})


def with_features(**changes: object) -> Machine:
    return replace(HEALTHY, features=replace(FEATURES, **changes))


def found(machine: Machine, name: str) -> Check:
    return next(check for check in reversed(diagnose(machine).checks) if check.name == name)


def test_a_machine_with_everything_runs_the_demo_and_lacks_nothing():
    diagnosis = diagnose(HEALTHY)
    assert diagnosis.demo_runs
    assert {check.state for check in diagnosis.checks} == {State.OK}
    assert diagnosis.tier == "B"


def test_the_newest_kernels_are_tier_a_only_with_the_object_for_it():
    newest = with_features(qdisc_bpf=True)
    assert diagnose(newest).tier == "B"
    assert diagnose(replace(newest, objects=frozenset({"agent", "qdisc"}))).tier == "A"


@pytest.mark.parametrize(
    ("machine", "words"),
    [
        pytest.param(with_features(architecture="aarch64"), "only x86_64 is built", id="wrong architecture"),
        pytest.param(with_features(capabilities=frozenset()), "run as root", id="not root"),
        pytest.param(with_features(libbpf=""), "libbpf.so.1 is missing", id="no libbpf"),
        pytest.param(with_features(xdp=False), "loads no XDP program", id="no XDP"),
        pytest.param(with_features(traffic_control=frozenset()), "The kernel lacks htb", id="no queues"),
        pytest.param(without_tool(HEALTHY, "ip"), "ip is not installed", id="no iproute2"),
        pytest.param(replace(HEALTHY, objects=frozenset()), "not built", id="no BPF objects"),
    ],
)
def test_what_the_demo_needs_is_told_in_a_sentence(machine: Machine, words: str):
    diagnosis = diagnose(machine)
    assert not diagnosis.demo_runs
    assert any(words in check.says for check in diagnosis.checks if check.state is State.LACKS)


@pytest.mark.parametrize(
    "machine",
    [
        pytest.param(without_tool(HEALTHY, "qemu-system-x86_64"), id="no other kernels"),
        pytest.param(without_tool(HEALTHY, "clang"), id="no compiler, but the objects are built"),
        pytest.param(with_features(tcx=False), id="an older kernel"),
        pytest.param(replace(HEALTHY, docker="absent", kubeconfig=""), id="no cluster"),
        pytest.param(replace(HEALTHY, memory_bytes=1 << 30), id="little memory"),
    ],
)
def test_what_the_demo_does_without_is_only_a_note(machine: Machine):
    diagnosis = diagnose(machine)
    assert diagnosis.demo_runs
    assert any(check.state is State.NOTE for check in diagnosis.checks)


def test_every_lack_is_a_sentence_and_every_missing_tool_has_its_command():
    bare = replace(HEALTHY, tools={}, objects=frozenset(), docker="absent", cni=False, kubeconfig="")
    lacks = [check for check in diagnose(bare).checks if check.state is not State.OK]
    assert all(check.says.endswith(".") for check in lacks)
    assert {check.fix for check in lacks} >= {f"apt-get install {tool.package}" for tool in TOOLS}


def test_a_command_within_a_sentence_of_the_probe_is_set_apart():
    check = found(with_features(libbpf=""), "kernel")
    assert (check.says, check.fix) == (
        "libbpf.so.1 is missing or older than 1.1; install it.",
        "apt-get install libbpf1",
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"docker": "absent"}, "Docker is not installed"),
        ({"docker": "silent"}, "daemon does not answer"),
        ({}, "Possible if Docker"),
    ],
)
def test_kind_is_judged_by_docker(changes: dict[str, str], words: str):
    assert words in found(replace(HEALTHY, **changes), "cluster: kind").says


def test_the_native_cluster_names_what_it_lacks():
    bare = replace(without_tool(HEALTHY, "runc"), cni=False)
    check = found(bare, "cluster: native")
    assert check.fix == "apt-get install runc containernetworking-plugins"
