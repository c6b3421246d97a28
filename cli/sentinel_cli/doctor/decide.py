"""From what was observed to what a person should know: pure, a sentence and a command for each thing."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from sentinel_bpf import probe
from sentinel_cli.doctor.observe import Machine

ARCHITECTURE = "x86_64"
MEMORY_BYTES = 2 << 30  # the flow table at its default size, Python, and the traffic of the demo


class State(Enum):
    """`lacks` keeps the demo from running; `note` is worth knowing, and the demo runs."""

    OK = "ok"
    NOTE = "note"
    LACKS = "lacks"


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    state: State
    says: str
    fix: str = ""  # a command, where one helps


@dataclass(frozen=True, slots=True)
class Diagnosis:
    checks: tuple[Check, ...]
    tier: probe.Tier
    tier_reason: str

    @property
    def demo_runs(self) -> bool:
        return not any(check.state is State.LACKS for check in self.checks)


@dataclass(frozen=True, slots=True)
class _Tool:
    """What a program is for; `demo` cannot run without it."""

    command: str
    package: str
    purpose: str
    demo: bool = False


TOOLS = (
    _Tool("ip", "iproute2", "makes the namespaces of the demo", demo=True),
    _Tool("tc", "iproute2", "shows the queues"),
    _Tool("clang", "clang", "compiles the BPF objects"),
    _Tool("clang-19", "clang-19", "compiles the BPF queue of tier A"),
    _Tool("bpftool", "bpftool", "links the BPF objects"),
    _Tool("go", "golang-go", "builds the cluster binaries"),
    _Tool("qemu-system-x86_64", "qemu-system-x86", "boots other kernels in `make vm`"),
    _Tool("buildah", "buildah", "builds images without a daemon"),
    _Tool("mmdebstrap", "mmdebstrap", "makes the Debian base of the images"),
)


def diagnose(machine: Machine) -> Diagnosis:
    tier, reason = probe.tier(machine.features, qdisc_built="qdisc" in machine.objects)
    checks = (
        *_hardware(machine),
        *_kernel(machine.features, tier),
        Check(f"tier {tier}", State.LACKS if tier == "C" else State.OK, reason),
        *_tools(machine),
        _objects(machine),
        *_clusters(machine),
    )
    return Diagnosis(checks, tier, reason)


def _hardware(machine: Machine) -> Iterator[Check]:
    features = machine.features
    cores = f"{machine.cores} core{'s' if machine.cores != 1 else ''}"
    gib = machine.memory_bytes / (1 << 30)
    yield Check("machine", State.OK, f"{machine.system}, {cores}, {gib:.0f} GiB, Python {machine.python}")
    if features.architecture != ARCHITECTURE:
        yield Check(
            "architecture",
            State.LACKS,
            f"This machine is {features.architecture}, and only {ARCHITECTURE} is built and tested; use one of those.",
        )
    if machine.memory_bytes < MEMORY_BYTES:
        yield Check("memory", State.NOTE, "Less than 2 GiB: make the flow table smaller, or give the machine more.")


def _kernel(features: probe.Features, tier: probe.Tier) -> Iterator[Check]:
    have = {
        "BTF": features.btf,
        "JIT": features.jit,
        "XDP": features.xdp,
        "BPF links": features.bpf_links,
        "tcx": features.tcx,
        "BPF qdisc": features.qdisc_bpf,
    }
    yield Check("kernel", State.OK, f"{features.kernel} with {_listed(name for name, there in have.items() if there)}")
    yield Check("queueing", State.OK, _listed(sorted(features.traffic_control)))
    yield Check("rights", State.OK, _listed(sorted(features.capabilities)))
    if features.libbpf:
        yield Check("libbpf", State.OK, features.libbpf)
    for sentence in features.missing():
        says, fix = _command_apart(sentence)
        yield Check("kernel", State.LACKS if tier == "C" else State.NOTE, says, fix)


def _command_apart(sentence: str) -> tuple[str, str]:
    """Sentences carry their command in brackets at the end; the table shows it below, to be copied."""
    found = re.fullmatch(r"(?P<says>.*) \((?P<command>[a-z-]+ [^()]+)\)\.", sentence)
    return (f"{found['says']}.", found["command"]) if found else (sentence, "")


def _tools(machine: Machine) -> Iterator[Check]:
    for tool in TOOLS:
        version = machine.tools.get(tool.command)
        if version:
            yield Check(tool.command, State.OK, version)
        else:
            state = State.LACKS if tool.demo else State.NOTE
            says = f"{tool.command} is not installed; it {tool.purpose}."
            yield Check(tool.command, state, says, f"apt-get install {tool.package}")


def _objects(machine: Machine) -> Check:
    if "agent" in machine.objects:
        return Check("BPF objects", State.OK, _listed(sorted(machine.objects)))
    return Check("BPF objects", State.LACKS, "The BPF objects are not built.", "make bpf")


def _clusters(machine: Machine) -> Iterator[Check]:
    """Which providers could make or reach a cluster here; the demo needs none."""
    yield _kind(machine)
    yield _native(machine)
    if machine.kubeconfig:
        yield Check("cluster: existing", State.OK, f"There is a kubeconfig at {machine.kubeconfig}.")
    else:
        yield Check("cluster: existing", State.NOTE, "No kubeconfig; set KUBECONFIG to use a cluster that you have.")


def _kind(machine: Machine) -> Check:
    name = "cluster: kind"
    if machine.docker == "absent":
        return Check(name, State.NOTE, "Not possible: Docker is not installed.", "apt-get install docker.io")
    if machine.docker == "silent":
        return Check(name, State.NOTE, "Not possible: the Docker daemon does not answer.", "systemctl start docker")
    if "kind" not in machine.tools:
        return Check(name, State.NOTE, "Docker answers, but kind is not installed; put it on PATH.")
    return Check(name, State.OK, f"Possible if Docker allows --privileged (kind {machine.tools['kind']}).")


def _native(machine: Machine) -> Check:
    name = "cluster: native"
    absent = [tool for tool in ("containerd", "runc") if tool not in machine.tools]
    if not machine.cni:
        absent.append("containernetworking-plugins")
    if absent:
        fix = f"apt-get install {' '.join(absent)}"
        return Check(name, State.NOTE, f"Not possible: {_listed(absent)} missing.", fix)
    if "SYS_ADMIN" not in machine.features.capabilities:
        return Check(name, State.NOTE, "Not possible without CAP_SYS_ADMIN; run as root.")
    return Check(name, State.OK, "Possible: kubelets in network namespaces, once `make tools` has run.")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "nothing"
