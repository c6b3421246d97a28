"""Which native clusters exist on this machine: each takes a numbered slot, and the number fixes its addresses.

A slot is a folder below /run that names its owner. When the owner is dead (a crash, a SIGKILL, a reboot) whatever the
slot still holds is a leftover, and the next start removes it. Only the first eight numbers are used.
"""

import contextlib
import fcntl
import ipaddress
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.cluster.errors import Unavailable
from support.cluster.processes import Identity, end_recorded

RUN = Path("/run/sentinel-test")
NUMBERS = range(8)
CGROUPS = Path("/sys/fs/cgroup")
# Where containerd keeps the bundle of each container, and the cgroup it gives them.
BUNDLES = "node*/run/containerd/io.containerd.runtime.v2.task/k8s.io/*"
CONTAINERS = "k8s.io"


@dataclass(frozen=True, slots=True)
class Slot:
    """One native cluster's names and addresses."""

    number: int

    @property
    def claim(self) -> Path:
        return RUN / f"cluster-{self.number}.json"

    @property
    def folder(self) -> Path:
        """Outside /run, which a node replaces by its own, and which may be small."""
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        return cache / "sentinel-buffers" / "clusters" / str(self.number)

    @property
    def link(self) -> str:
        """The host's end of its cable to the cluster's switch."""
        return f"sn-cluster-{self.number}"

    @property
    def network(self) -> ipaddress.IPv4Network:
        return ipaddress.IPv4Network(f"10.89.{self.number}.0/24")

    @property
    def pods(self) -> ipaddress.IPv4Network:
        return ipaddress.IPv4Network(f"10.{100 + self.number}.0.0/16")

    @property
    def services(self) -> ipaddress.IPv4Network:
        return ipaddress.IPv4Network(f"10.{110 + self.number}.0.0/16")

    @property
    def host_address(self) -> str:
        return str(self.network[1])

    def node_address(self, index: int) -> str:
        """Nodes count from 1; the host is .1."""
        return str(self.network[index + 1])

    def node_pods(self, index: int) -> str:
        return f"10.{100 + self.number}.{index}.0/24"


def take(*, detached: bool = False) -> Slot:
    """Remove what dead owners left, then claim the first free number. A `detached` slot lasts until it is released."""
    with _locked():
        for slot in map(Slot, NUMBERS):
            if slot.claim.exists() and not _owned(slot):
                clear(slot)
        taken = _routes()
        free = [slot for slot in map(Slot, NUMBERS) if not slot.claim.exists()]
        for slot in free:
            if not any(slot.network.overlaps(one) or slot.pods.overlaps(one) for one in taken):
                me = Identity.of(os.getpid())
                assert me is not None
                owner = {"pid": me.pid, "started_ticks": me.started_ticks, "detached": detached, "boot": _boot()}
                slot.claim.write_text(json.dumps(owner))
                slot.folder.mkdir(parents=True, exist_ok=True)
                return slot
    if free:
        raise Unavailable(
            f"Every free test network from {Slot(NUMBERS[0]).network} to {Slot(NUMBERS[-1]).network} clashes "
            "with a route of this machine: remove that route (`ip route`) or use --cluster=kind or --cluster=existing."
        )
    raise Unavailable(f"All {len(NUMBERS)} native clusters are up: end one with `python -m support.cluster down`.")


def release(slot: Slot) -> None:
    with _locked():
        clear(slot)
        for folder in (slot.folder.parent, RUN):
            with contextlib.suppress(OSError):  # another cluster is there
                folder.rmdir()


def detached() -> list[Slot]:
    """Those brought up by hand."""
    return [slot for slot in map(Slot, NUMBERS) if _read(slot).get("detached")]


def clear(slot: Slot) -> None:
    """End the processes, then remove what no kernel object takes along when it dies."""
    for folder in [*sorted(slot.folder.glob("node*")), slot.folder]:
        end_recorded(folder)
    subprocess.run(["ip", "link", "del", slot.link], check=False, capture_output=True)  # gone with the switch, mostly
    for root in cgroups(slot):
        _remove_cgroup(root)
    for root in _hierarchies(CONTAINERS):
        with contextlib.suppress(OSError):  # another cluster's containers are in it
            root.rmdir()
    shutil.rmtree(slot.folder, ignore_errors=True)
    slot.claim.unlink(missing_ok=True)


@contextlib.contextmanager
def _locked() -> Iterator[None]:
    """The lock is on the parent, so that the folder itself can go with its last slot."""
    RUN.mkdir(exist_ok=True)
    descriptor = os.open(RUN.parent, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        RUN.mkdir(exist_ok=True)
        yield
    finally:
        os.close(descriptor)


def _read(slot: Slot) -> dict[str, Any]:
    try:
        found = json.loads(slot.claim.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _owned(slot: Slot) -> bool:
    owner = _read(slot)
    if owner.get("boot") != _boot():
        return False
    return bool(owner["detached"]) or Identity(owner["pid"], owner["started_ticks"]).alive


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def _routes() -> list[ipaddress.IPv4Network]:
    shown = subprocess.run(["ip", "-json", "-4", "route", "show", "table", "all"], check=True, capture_output=True)
    destinations = (route["dst"] for route in json.loads(shown.stdout or b"[]"))
    return [ipaddress.IPv4Network(one) for one in destinations if one != "default"]


def cgroups(slot: Slot) -> list[Path]:
    """What the slot's containers hold; the kubelet gives them no parent of their own without its QoS tree."""
    containers = [bundle.name for bundle in slot.folder.glob(BUNDLES)]
    return [path for one in containers for path in _hierarchies(f"{CONTAINERS}/{one}")]


def _hierarchies(name: str) -> list[Path]:
    """The cgroup in every hierarchy (version 1), or in the one there is (version 2)."""
    return [path for path in (CGROUPS / name, *CGROUPS.glob(f"*/{name}")) if path.exists()]


def _remove_cgroup(root: Path) -> None:
    for folder in [*sorted((path for path in root.rglob("*") if path.is_dir()), reverse=True), root]:
        for _ in range(600):
            try:
                folder.rmdir()
            except FileNotFoundError:
                break
            except OSError:  # busy: its last process is still on its way out
                time.sleep(0.05)
            else:
                break
