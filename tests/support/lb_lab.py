"""A client, balancers, buffer nodes and a service on one segment, in namespaces, with the product's own processes.

client ── fabric ── lb1 (lb2) ── nodes ── back ── service ── fabric ── client
          VIP by ARP/NDP     tunnel        routed VIP    direct return
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from sentinel_bpf import pins
from sentinel_bpf.probe import BPFFS
from sentinel_lab.dataplane import OBJECT
from sentinel_lab.namespaces import Namespace, remove_leftovers, run
from support.netns import need_data_plane

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PASSING = OBJECT.parent / "test/other.bpf.o"
VIP4, VIP6 = "10.78.0.100", "fd78::100"
TCP_PORT, UDP_PORT = 80, 53
FRONT, BACK = "front", "back"
HOSTS = {"client": 2, "lb1": 10, "lb2": 11, "node1": 21, "node2": 22, "node3": 23, "service": 31}
PATIENCE_S = 300.0
TCP_RTO_MAX_MS = 44  # Python has no name for it, and kernels before 6.15 know no such option
PINS = "lb-lab-"
QUIET = {"node1": 1_000_000_000, "node2": 1_000_000_000}


def wait_until(true: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, f"waited {PATIENCE_S:g} s in vain: {what}"
        time.sleep(0.02)


def address(role: str, version: int = 4) -> str:
    return f"10.78.0.{HOSTS[role]}" if version == 4 else f"fd78::{HOSTS[role]:x}"


@dataclass
class Process:
    """One of ours in one namespace."""

    space: Namespace
    module: str
    port: int
    config: Path
    env: dict[str, str]
    log: Path
    arguments: tuple[str, ...] = ()
    running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self) -> subprocess.Popen[bytes]:
        with self.space.entered(), self.log.open("ab") as log:
            argv = [sys.executable, "-m", self.module, *self.arguments, "--config", str(self.config)]
            self.running.append(subprocess.Popen(argv, env=os.environ | self.env, stderr=log))
        return self.running[-1]

    def detach(self) -> None:
        with self.space.entered():
            argv = [sys.executable, "-m", self.module, "--config", str(self.config), "detach"]
            subprocess.run(argv, env=os.environ | self.env, capture_output=True, check=True, timeout=PATIENCE_S)

    def asked(self, path: str = "/debug/state", port: int | None = None) -> bytes:
        try:
            with self.space.entered():
                url = f"http://127.0.0.1:{port or self.port}{path}"
                with urllib.request.urlopen(url, timeout=30) as answer:
                    return answer.read()
        except (OSError, HTTPException):  # nobody is there, or ended in the middle of its answer
            return b""

    def state(self) -> dict[str, Any]:
        """Empty until it is up."""
        assert self.running, f"{self.module} was not started"
        assert self.running[-1].poll() is None, f"{self.module} ended: {self.last_words()}"
        return json.loads(self.asked() or b"{}")

    def told(self) -> dict[str, Any]:
        """Its state, once there is one."""
        wait_until(lambda: bool(self.state()), f"{self.module} answers")
        return self.state() or self.told()

    def end(self) -> None:
        for each in self.running:
            each.kill()
            each.wait()

    def last_words(self) -> str:
        return self.log.read_text()[-3000:] if self.log.exists() else ""


class Service:
    """Answers each connection and datagram with what it got, from the VIP's address."""

    def __init__(self, space: Namespace) -> None:
        self._open: list[socket.socket] = []
        with space.entered():
            for family, anywhere in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
                tcp = socket.socket(family, socket.SOCK_STREAM)
                udp = [socket.socket(family, socket.SOCK_DGRAM)]
                if family == socket.AF_INET6:
                    for each in (tcp, *udp):
                        each.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                tcp.bind((anywhere, TCP_PORT))
                udp[0].bind((VIP4 if family == socket.AF_INET else VIP6, UDP_PORT))
                tcp.listen(64)
                self._open += [tcp, *udp]
                threading.Thread(target=self._accept, args=(tcp,), daemon=True).start()
                threading.Thread(target=self._echo, args=(udp[0],), daemon=True).start()

    def close(self) -> None:
        for each in self._open:
            each.close()

    def _accept(self, listening: socket.socket) -> None:
        while True:
            try:
                made, _ = listening.accept()
            except OSError:
                return
            self._open.append(made)
            threading.Thread(target=self._serve, args=(made,), daemon=True).start()

    def _serve(self, made: socket.socket) -> None:
        try:
            while said := made.recv(65536):
                made.sendall(said)
        except OSError:
            return

    def _echo(self, listening: socket.socket) -> None:
        while True:
            try:
                said, whom = listening.recvfrom(65536)
                listening.sendto(said, whom)
            except OSError:
                return


@dataclass
class Lab:
    spaces: dict[str, Namespace]
    agents: dict[str, Process]
    balancers: dict[str, Process]
    pins: Path
    _ports: Iterator[int] = field(default_factory=lambda: iter(range(10_000, 30_000)))

    def configure(self, **changes: Any) -> None:
        """For all balancers alike; obeyed within a second or two."""
        for balancer in self.balancers.values():
            text = yaml.safe_dump(balancer_config() | changes)
            fresh = balancer.config.with_suffix(".new")
            fresh.write_text(text)
            fresh.rename(balancer.config)

    def connected(self, version: int = 4) -> socket.socket:
        """A TCP connection to the VIP, from a port that no flow had before."""
        return self._to_the_vip(socket.SOCK_STREAM, version, TCP_PORT)

    def datagrams(self, version: int = 4) -> socket.socket:
        """Flows are known for longer than they last: the kernel's choice of a port may begin no new one."""
        return self._to_the_vip(socket.SOCK_DGRAM, version, UDP_PORT)

    def _to_the_vip(self, kind: socket.SocketKind, version: int, port: int) -> socket.socket:
        with self.spaces["client"].entered():
            made = socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, kind)
            made.settimeout(PATIENCE_S)
            if kind == socket.SOCK_STREAM:
                with suppress(OSError):  # else, on a slow machine, the next try is minutes away
                    made.setsockopt(socket.IPPROTO_TCP, TCP_RTO_MAX_MS, 1000)
            try:
                made.bind(("", next(self._ports)))
                made.connect((VIP4 if version == 4 else VIP6, port))
            except OSError:
                made.close()
                raise
            return made

    def states(self, balancer: str = "lb1") -> dict[str, str]:
        found = self.balancers[balancer].state().get("backends", {})
        return {name: each["state"] for name, each in found.items()}

    def words(self) -> str:
        every = {**self.balancers, **self.agents}
        return "\n".join(f"--- {name}\n{each.last_words()}" for name, each in every.items())


def echoed(through: socket.socket, what: bytes = b"hello") -> bytes:
    through.sendall(what)
    heard = b""
    while len(heard) < len(what) and (part := through.recv(65536)):
        heard += part
    return heard


def balancer_config() -> dict[str, Any]:
    return {
        "interface": FRONT,
        "trafficClasses": [{"name": "gold", "match": [{"protocol": "TCP", "port": TCP_PORT}]}],
        "backends": [{"name": name, "address": address(name)} for name in QUIET],
        "vips": [
            {"address": vip, "port": port, "protocol": protocol}
            for vip in (VIP4, VIP6)
            for port, protocol in ((TCP_PORT, "TCP"), (UDP_PORT, "UDP"))
        ],
    }


def agent_config(rate_bits: int) -> dict[str, Any]:
    return {
        "trafficClasses": [{"name": "gold", "match": [{"protocol": "TCP", "port": TCP_PORT}]}],
        "dataPlane": {"interfaces": [{"name": FRONT, "rateBitsPerSecond": rate_bits}]},
        "balancers": ["10.78.0.8/29"],
    }


@contextmanager
def lab(folder: Path, *, balancers: tuple[str, ...] = ("lb1",), rates: dict[str, int] | None = None) -> Iterator[Lab]:
    """Wired and addressed; agents run, balancers do not yet."""
    with still(folder, balancers=balancers, rates=rates) as made:
        for each in made.agents.values():
            each.start()
        yield made


@contextmanager
def still(folder: Path, *, balancers: tuple[str, ...] = ("lb1",), rates: dict[str, int] | None = None) -> Iterator[Lab]:
    """The same before anything of ours runs."""
    need_data_plane()
    with ExitStack() as stack:
        yield _laid_out(stack, folder, balancers, rates)


@contextmanager
def _own_pins() -> Iterator[Path]:
    """Pins are named after nodes, and other runs' labs have nodes of the same names: each has a file system of its own,
    which takes along whatever is pinned and attached when it goes."""
    for left in BPFFS.parent.glob(f"{PINS}*"):
        if not Path("/proc", left.name.removeprefix(PINS)).exists():
            _unmount(left)
    where = BPFFS.parent / f"{PINS}{os.getpid()}"
    pins.mount(where)
    try:
        yield where
    finally:
        _unmount(where)


def _unmount(where: Path) -> None:
    subprocess.run(["umount", "--lazy", str(where)], capture_output=True, check=False, timeout=PATIENCE_S)
    with suppress(FileNotFoundError):  # another run clears up after the same dead one
        where.rmdir()


def _laid_out(stack: ExitStack, folder: Path, balancers: tuple[str, ...], rates: dict[str, int] | None) -> Lab:
    remove_leftovers()
    own_pins = stack.enter_context(_own_pins())
    rates = QUIET | (rates or {})
    roles = ["client", *balancers, *rates, "service"]
    spaces = {role: Namespace(role, os.getpid()) for role in (*roles, "fabric")}
    for space in spaces.values():
        stack.callback(space.remove)
        space.create()
    _wire(spaces, roles, tuple(rates))
    service = Service(spaces["service"])
    stack.callback(service.close)
    agents = {name: _agent(spaces[name], name, rate, balancers, folder) for name, rate in rates.items()}
    made = Lab(spaces, agents, {name: _balancer(spaces[name], name, balancers, folder) for name in balancers}, own_pins)
    made.configure()
    for each in (*agents.values(), *made.balancers.values()):
        each.env["SENTINEL_BPFFS"] = str(own_pins)
        stack.callback(each.end)
    return made


def _agent(space: Namespace, name: str, rate: int, balancers: tuple[str, ...], folder: Path) -> Process:
    config = folder / f"{name}.yaml"
    config.write_text(yaml.safe_dump(agent_config(rate)))
    peers = ",".join(f"tcp/{address(each)}:7447" for each in balancers)
    env = _mesh(name, peers)
    return Process(space, "sentinel_agent", 9466, config, env, folder / f"{name}.log")


def _balancer(space: Namespace, name: str, balancers: tuple[str, ...], folder: Path) -> Process:
    # The same list for all, this one among them: where each end of a pair dials the other, one may stay deaf (Place).
    peers = ",".join(f"tcp/{address(each)}:7447" for each in balancers)
    return Process(space, "sentinel_lb", 9468, folder / f"{name}.yaml", _mesh(name, peers), folder / f"{name}.log")


def _mesh(name: str, peers: str) -> dict[str, str]:
    return {
        "SENTINEL_NODE_NAME": name,
        "SENTINEL_MESH_LISTEN": f"tcp/{address(name)}:7447",
        "SENTINEL_MESH_PEERS": peers,
    }


def _wire(spaces: dict[str, Namespace], roles: list[str], nodes: tuple[str, ...]) -> None:
    fabric = spaces["fabric"]
    for bridge in (FRONT, BACK):
        fabric.ip("link", "add", f"br-{bridge}", "type", "bridge")
        fabric.ip("link", "set", f"br-{bridge}", "up")
    for role in roles:
        _plug(fabric, spaces[role], FRONT, f"{FRONT[0]}-{role}", address(role))
    for role in (*nodes, "service"):
        _plug(fabric, spaces[role], BACK, f"{BACK[0]}-{role}", f"10.79.0.{HOSTS[role]}", "fd79")
    service = spaces["service"]
    for vip in (f"{VIP4}/32", f"{VIP6}/128"):
        service.ip("address", "add", vip, "dev", "lo")
    for name in nodes:
        spaces[name].ip("route", "add", f"{VIP4}/32", "via", f"10.79.0.{HOSTS['service']}")
        spaces[name].ip("-6", "route", "add", f"{VIP6}/128", "via", f"fd79::{HOSTS['service']:x}")
        _sysctl(spaces[name], "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1")
    _sysctl(service, "net.ipv4.conf.all.arp_ignore=1", "net.ipv4.conf.all.arp_announce=2")
    for role in ("client", "service"):  # XDP that sends packets on needs their sums complete
        run("ip", "netns", "exec", spaces[role].name, "ethtool", "-K", FRONT, "tx", "off")


def _plug(fabric: Namespace, space: Namespace, device: str, port: str, ip4: str, net6: str = "fd78") -> None:
    _sysctl(space, *(f"net.ipv4.conf.{each}.rp_filter=0" for each in ("all", "default")))
    _sysctl(space, "net.ipv6.conf.default.accept_dad=0")
    space.ip("link", "add", device, "type", "veth", "peer", "name", port, "netns", fabric.name)
    fabric.ip("link", "set", port, "master", f"br-{device}", "up")
    # A veth passes on what XDP sends back only to a peer that runs XDP, too.
    fabric.ip("link", "set", port, "xdp", "obj", str(PASSING), "sec", "xdp")
    # A switch floods what it has no port for, and XDP on a veth sees what no card would take: another node would answer
    # a dead one's probes in its name, and keep it alive for ever.
    run("bridge", "-n", fabric.name, "link", "set", "dev", port, "flood", "off")
    space.ip("link", "set", device, "up")
    space.ip("address", "add", f"{ip4}/24", "dev", device)
    space.ip("address", "add", f"{net6}::{int(ip4.rpartition('.')[2]):x}/64", "dev", device, "nodad")


def _sysctl(space: Namespace, *settings: str) -> None:
    run("ip", "netns", "exec", space.name, "sysctl", "-qw", *settings)
