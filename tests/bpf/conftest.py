"""Built objects, loaded ones, and a place of one's own in the kernel: a network namespace, a bpffs."""

import ctypes
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sentinel_bpf import object as bpf_object
from sentinel_bpf import pins, testrun
from sentinel_bpf.agent import load_agent

BPF = Path(__file__).parents[2] / "bpf"
CLASSES = 16
CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


class Bench:
    """A loaded object with the words that tests use: put, get, run, and the sums over CPUs."""

    def __init__(self, loaded: bpf_object.Object) -> None:
        self.object = loaded

    def put(self, name: str, key: Any, value: Any = None, **fields: Any) -> None:
        self.object.map(name).put(key, value, **fields)

    def get(self, name: str, key: Any) -> Any:
        return self.object.map(name).get(key)

    def percpu(self, name: str, key: Any) -> Any:
        return self.object.map(name).get(key)

    def view(self, name: str, *, writable: bool = False) -> np.ndarray:
        return self.object.map(name).view(writable=writable)

    def summed(self, name: str, index: int, each_cpu: int = CLASSES) -> np.ndarray:
        """Field by field over the CPUs of a sharded array: `summed("sn_cells", 3)["packets"]`."""
        rows = self.view(name).reshape(-1, each_cpu)[:, index]
        total = np.zeros((), rows.dtype)
        for field in rows.dtype.names or ():
            total[field] = rows[field].sum(axis=0)
        return total

    def run(self, program: str, frame: bytes, **options: Any) -> tuple[int, bytes]:
        ran = testrun.run(self.object.program(program), frame, **options)
        return ran.action, ran.data


@pytest.fixture(scope="session")
def built() -> Path:
    """bpf/build, with every object and every test program in it."""
    made = subprocess.run(["make", "-s", "-C", str(BPF), "all", "tests"], capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.fail(f"the objects do not build:\n{made.stderr}", pytrace=False)
    return BPF / "build"


@pytest.fixture
def load(built: Path) -> Iterator[Callable[..., Bench]]:
    """load("test/bank", rodata=…): a Bench that is closed after the test. Options are those of sentinel_bpf.object."""
    with ExitStack() as stack:

        def open_one(name: str, **options: Any) -> Bench:
            loaded = bpf_object.load(built / f"{name}.bpf.o", bpf_object.Options(**options))
            return Bench(stack.enter_context(loaded))

        yield open_one


@pytest.fixture
def load_ingress(built: Path) -> Iterator[Callable[..., Bench]]:
    """The agent's ingress with other constants or map sizes: load_ingress(rodata={"sn_police_on": 0})."""
    with ExitStack() as stack:

        def open_one(*, max_entries: dict[str, int] | None = None, **options: Any) -> Bench:
            sizes = {"sn_flows": 4096, **(max_entries or {})}
            options = {"programs": frozenset({"sn_ingress"}), **options}
            loaded = load_agent(built / "agent.bpf.o", max_entries=sizes, **options)
            return Bench(stack.enter_context(loaded))

        yield open_one


@pytest.fixture
def agent(load_ingress: Callable[..., Bench]) -> Bench:
    """The agent's ingress as it is by default, with a small flow table."""
    return load_ingress()


@pytest.fixture
def bank(load: Callable[..., Bench]) -> Bench:
    return load("test/bank")


@pytest.fixture
def namespace() -> Iterator[str]:
    """This thread (and what it starts) stands in a network namespace of its own, without IPv6 chatter."""
    name = f"sn-bpf-{os.getpid()}"
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    subprocess.run(["ip", "netns", "add", name], check=True)
    there = os.open(f"/run/netns/{name}", os.O_RDONLY)
    try:
        _enter(there)
        for which in ("all", "default"):
            Path(f"/proc/sys/net/ipv6/conf/{which}/disable_ipv6").write_text("1")
        yield name
    finally:
        _enter(home)
        os.close(there)
        os.close(home)
        subprocess.run(["ip", "netns", "delete", name], check=True)


@pytest.fixture
def veth(namespace: str) -> tuple[str, str]:
    """Two ends of a cable, both up: what goes out of the first comes in at the second."""
    for command in ("link add sn0 type veth peer name sn1", "link set sn0 up", "link set sn1 up"):
        subprocess.run(["ip", *command.split()], check=True)
    return "sn0", "sn1"


@pytest.fixture
def bpffs(tmp_path: Path) -> Iterator[Path]:
    where = tmp_path / "bpffs"
    pins.mount(where)
    yield where
    subprocess.run(["umount", str(where)], check=True)


def _enter(namespace: int) -> None:
    if _libc.setns(namespace, CLONE_NEWNET) < 0:
        raise OSError(ctypes.get_errno(), "setns")
