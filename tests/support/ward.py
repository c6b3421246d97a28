"""A lab whose parts can be hurt and mended, watched by a Prometheus in a hurry: two nodes and a balancer whose ticks
can be hung, and a third node of little room, with a mesh of its own and a device that nobody else uses."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from sentinel_lab.bench.mesh_authority import DAY, Authority
from sentinel_lab.namespaces import run
from sentinel_mesh.keys import Keys
from support.frames import udp4
from support.hung import FAILS
from support.lb_lab import FRONT, QUIET, Lab, Process, address, agent_config, balancer_config, still, wait_until
from support.prometheus import Prometheus, prometheus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TESTS = str(Path(__file__).parents[1])
FASTER = 30
"""A rule that looks back five minutes looks back ten seconds, and the usual scrape of 15 s comes every half second."""
PAUSE = "500ms"
SICK, DOOR, OUTSIDE = "node3", "door", "outside"
SMALL = {
    "dataPlane": {"interfaces": [{"name": DOOR, "rateBitsPerSecond": 8_000_000}], "maxFlows": 1_024},
    "pool": {"minBytes": 65_536, "maxBytes": 65_536},
}
NO_MODEL = {"ref": "/nowhere/model.onnx", "digest": f"sha256:{'0' * 64}"}
MESH_CUT = "".join(
    f"add table inet cut\nadd chain inet cut {hook} {{ type filter hook {hook} priority 0; }}\n"
    f"add rule inet cut {hook} tcp dport 7447 drop\nadd rule inet cut {hook} tcp sport 7447 drop\n"
    for hook in ("input", "output")
)


@dataclass(frozen=True)
class Ward:
    lab: Lab
    watching: Prometheus
    authority: Authority
    folder: Path

    @property
    def balancer(self) -> Process:
        return self.lab.balancers["lb1"]

    def within(self, role: str, *command: str) -> str:
        return run("ip", "netns", "exec", self.lab.spaces[role].name, *command)


@contextmanager
def ward(folder: Path) -> Iterator[Ward]:
    with still(folder, rates={SICK: 1}) as lab:
        authority = _prepared(lab, folder)
        for each in (*lab.agents.values(), *lab.balancers.values()):
            each.start()
        wait_until(lambda: lab.states() == dict.fromkeys(QUIET, "ready"), "both nodes are ready")
        jobs = {"agent": [f"{address(node)}:9465" for node in lab.agents], "balancer": [f"{address('lb1')}:9467"]}
        with prometheus(folder, jobs, lab.spaces["client"], times=FASTER, pause=PAUSE) as watching:
            made = Ward(lab, watching, authority, folder)
            watching.wait_for("count(up == 1) == 4")
            yield made


def _prepared(lab: Lab, folder: Path) -> Authority:
    for name in (*QUIET, "lb1"):
        process = (lab.agents | lab.balancers)[name]
        process.module, process.arguments = "support.hung", (process.module, str(folder / f"{name}.hangs"))
        process.env["PYTHONPATH"] = TESTS
    authority = Authority(folder)
    own = authority.issue(SICK)
    sick = lab.agents[SICK]
    sick.env |= {
        "SENTINEL_MESH_LISTEN": f"tls/{address(SICK)}:7447",
        "SENTINEL_MESH_CA": str(own.ca),
        "SENTINEL_MESH_CERT": str(own.certificate),
        "SENTINEL_MESH_KEY": str(own.key),
    }
    del sick.env["SENTINEL_MESH_PEERS"]
    sick.config.write_text(yaml.safe_dump(agent_config(1) | SMALL))
    _plug(lab)
    return authority


def _plug(lab: Lab) -> None:
    space = lab.spaces[SICK]
    space.ip("link", "add", DOOR, "type", "veth", "peer", "name", OUTSIDE)
    for end in (DOOR, OUTSIDE):
        space.ip("link", "set", end, "up")


@contextmanager
def _meanwhile(do: Callable[[threading.Event], None]) -> Iterator[None]:
    over = threading.Event()
    thread = threading.Thread(target=do, args=(over,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def hung(ward: Ward, role: str) -> Iterator[None]:
    """Its tick stands still; all its other threads go on."""
    flag = ward.folder / f"{role}.hangs"
    flag.touch()
    try:
        yield
    finally:
        flag.unlink()


@contextmanager
def failing(ward: Ward, role: str) -> Iterator[None]:
    """Each of its ticks ends with an error."""
    flag = ward.folder / f"{role}{FAILS}"
    flag.touch()
    try:
        yield
    finally:
        flag.unlink()


@contextmanager
def frozen(_: Ward, process: Process) -> Iterator[None]:
    process.running[-1].send_signal(signal.SIGSTOP)
    try:
        yield
    finally:
        process.running[-1].send_signal(signal.SIGCONT)


@contextmanager
def killed(_: Ward, process: Process) -> Iterator[None]:
    process.end()
    try:
        yield
    finally:
        process.start()


@contextmanager
def starved(_: Ward, process: Process) -> Iterator[None]:
    """More than half of the time somebody else has the CPU."""
    running = process.running[-1]

    def now_and_then(over: threading.Event) -> None:
        while not over.wait(0.3):
            running.send_signal(signal.SIGSTOP)
            over.wait(0.5)
            running.send_signal(signal.SIGCONT)

    with _meanwhile(now_and_then):
        yield


@contextmanager
def unplugged(ward: Ward, *roles: str) -> Iterator[None]:
    for role in roles:
        ward.lab.spaces[role].ip("link", "set", FRONT, "down")
    try:
        yield
    finally:
        for role in roles:  # IPv6 forgets what was set on a device that goes down
            ward.lab.spaces[role].ip("link", "set", FRONT, "up")
            ward.lab.spaces[role].ip("address", "replace", f"{address(role, 6)}/64", "dev", FRONT, "nodad")


@contextmanager
def asked_for(ward: Ward) -> Iterator[None]:
    """New flows to the service's address, whether or not anybody answers."""

    def ask(over: threading.Event) -> None:
        while not over.wait(0.02):
            with suppress(OSError), ward.lab.datagrams() as few:
                few.send(b"hello")

    with _meanwhile(ask):
        yield


@contextmanager
def mesh_cut(ward: Ward, role: str) -> Iterator[None]:
    rules = ward.folder / "cut.nft"
    rules.write_text(MESH_CUT)
    ward.within(role, "nft", "-f", str(rules))
    try:
        yield
    finally:
        ward.within(role, "nft", "delete table inet cut")


@contextmanager
def garbage_told(ward: Ward, role: str) -> Iterator[None]:
    """A stranger joins the mesh that speaks in the clear, and says what nobody can read."""
    key = Keys("default").state("stranger")
    with ward.lab.spaces["client"].entered():
        argv = [sys.executable, "-m", "support.stranger", f"tcp/{address(role)}:7447", key]
        process = subprocess.Popen(argv, cwd=TESTS)
    try:
        yield
    finally:
        process.kill()
        process.wait()


@contextmanager
def flooded(ward: Ward) -> Iterator[None]:
    """Far above the rate, in more flows than the table holds."""
    frames = [udp4(bytes(1000), source_port=port) for port in range(20_000, 30_000)]
    with ward.lab.spaces[SICK].entered():
        outside = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    outside.bind((OUTSIDE, 0))

    def send(over: threading.Event) -> None:
        each = cycle(frames)
        while not over.wait(0.01):
            for _ in range(30):
                with suppress(OSError):
                    outside.send(next(each))

    with outside, _meanwhile(send):
        yield


@contextmanager
def key_of_another(ward: Ward) -> Iterator[None]:
    """Who renewed the certificate mixed up two pairs."""
    own, other = ward.authority.issue(SICK), ward.authority.issue(SICK, file="other")
    own.key.write_bytes(other.key.read_bytes())
    try:
        yield
    finally:
        ward.authority.issue(SICK)


@contextmanager
def certificate_near_its_end(ward: Ward) -> Iterator[None]:
    ward.authority.issue(SICK, timedelta(hours=1))
    try:
        yield
    finally:
        ward.authority.issue(SICK, DAY)


@contextmanager
def model_missing(ward: Ward) -> Iterator[None]:
    sick = ward.lab.agents[SICK]
    healthy = sick.config.read_text()

    def again(text: str) -> None:
        sick.end()
        sick.config.write_text(text)
        sick.start()
        sick.told()

    again(yaml.safe_dump(yaml.safe_load(healthy) | {"model": NO_MODEL}))
    try:
        yield
    finally:
        again(healthy)


@contextmanager
def foreign_queue(ward: Ward) -> Iterator[None]:
    (device,) = [
        line.split(":")[1].strip() for line in ward.within(SICK, "ip", "-o", "link").splitlines() if "sn-ifb" in line
    ]
    ward.within(SICK, "tc", "qdisc", "replace", "dev", device, "root", "handle", "1:", "pfifo")
    try:
        yield
    finally:
        ward.within(SICK, "tc", "qdisc", "del", "dev", device, "root")


@contextmanager
def device_gone(ward: Ward) -> Iterator[None]:
    ward.lab.spaces[SICK].ip("link", "del", DOOR)
    try:
        yield
    finally:
        _plug(ward.lab)


@contextmanager
def nobody_behind(ward: Ward) -> Iterator[None]:
    """A balancer whose BufferCluster chooses no node."""
    ward.lab.configure(backends=[])
    try:
        yield
    finally:
        ward.lab.configure(backends=balancer_config()["backends"])
