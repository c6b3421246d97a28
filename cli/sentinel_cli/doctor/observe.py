"""Reads everything that the diagnosis is made from, in one pass; what the kernel can do is `sentinel_bpf.probe`'s."""

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import sentinel_bpf
from sentinel_bpf import probe

OBJECTS: Final = Path(sentinel_bpf.__file__).parents[1] / "build"
CNI_FOLDERS: Final = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))
# Long enough for a Docker daemon that is still waking up, short enough for a person who waits.
PATIENCE_S: Final = 5.0
VERSION_FLAGS: Final = {
    "bpftool": "version",
    "buildah": "--version",
    "clang": "--version",
    "clang-19": "--version",
    "containerd": "--version",
    "go": "version",
    "ip": "-V",
    "kind": "version",
    "mmdebstrap": "--version",
    "qemu-system-x86_64": "--version",
    "runc": "--version",
    "tc": "-V",
}


Docker = Literal["absent", "silent", "answers"]


@dataclass(frozen=True, slots=True)
class Machine:
    """All that the diagnosis may know."""

    system: str
    cores: int
    memory_bytes: int
    python: str
    features: probe.Features
    tools: Mapping[str, str]  # those found, with their versions
    objects: frozenset[str]  # BPF objects that are built
    docker: Docker
    cni: bool
    kubeconfig: str  # where it is; empty when there is none


def machine() -> Machine:
    return Machine(
        system=_system(),
        cores=len(os.sched_getaffinity(0)),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        python=platform.python_version(),
        features=probe.probe(),
        tools=_tools(),
        objects=frozenset(path.name.removesuffix(".bpf.o") for path in OBJECTS.glob("*.bpf.o")),
        docker=_docker(),
        cni=any((folder / "bridge").exists() for folder in CNI_FOLDERS),
        kubeconfig=_kubeconfig(),
    )


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.system()


def _tools() -> dict[str, str]:
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"  # a plain user's PATH lacks the folders of ip and tc
    found = {name: shutil.which(name, path=path) for name in VERSION_FLAGS}
    return {name: _version(file, VERSION_FLAGS[name]) for name, file in found.items() if file}


def _version(tool: str, flag: str) -> str:
    """The first thing that looks like a version in what the tool says of itself."""
    said = _run([tool, flag])
    number = re.search(r"\d+(\.\d+)+", said.stdout) if said else None
    return number[0] if number else "unknown"


def _docker() -> Docker:
    if not shutil.which("docker"):
        return "absent"
    said = _run(["docker", "info", "--format", "{{.ServerVersion}}"])
    return "answers" if said and said.returncode == 0 else "silent"


def _kubeconfig() -> str:
    candidates = [*os.environ.get("KUBECONFIG", "").split(":"), str(Path.home() / ".kube/config")]
    return next((name for name in candidates if name and Path(name).is_file()), "")


def _run(command: list[str]) -> subprocess.CompletedProcess[str] | None:
    """None where the tool cannot even be started, or does not come back."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
    except (OSError, subprocess.TimeoutExpired):
        return None
