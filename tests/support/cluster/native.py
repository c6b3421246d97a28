"""The native provider: a real control plane and real kubelets in namespaces of this machine; no Docker, no download.

    host ── cable ── switch (a bridge in a namespace) ──┬── node1: containerd, kubelet, kube-proxy
     └ etcd, kube-apiserver, controllers, names         └── node2 …

Everything but the control plane hangs on namespace holders, so that even a SIGKILL of the test run ends it.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from support.cluster import images, slots
from support.cluster.binaries import binary
from support.cluster.control_plane import WHOLE, ControlPlane, Part
from support.cluster.errors import ClusterError, Unavailable
from support.cluster.namespaces import Holder
from support.cluster.node import Node, Place, cni_folder
from support.cluster.processes import Process, wait_until
from support.cluster.provider import Finished, Name, NodeSpec
from support.cluster.slots import Slot

PROGRAMS = {
    "containerd": "containerd",
    "runc": "runc",
    "ip": "iproute2",
    "nft": "nftables",
    "conntrack": "conntrack",
    "nsenter": "util-linux",
    "gcc": "gcc",
    "ethtool": "ethtool",
}
TOOLS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl")
TESTS = Path(__file__).parents[2]
PASSING = TESTS.parent / "bpf/build/test/other.bpf.o"
READY_S = 300.0
CUT_TABLE = "sn_cut"
NODES_FILE = "nodes.json"


def check() -> None:
    """Raise `Unavailable` with one sentence unless this machine can run native clusters."""
    if not _is_root():
        raise Unavailable("native clusters need root: run the tests with sudo.")
    for program, package in PROGRAMS.items():
        if shutil.which(program) is None:
            raise Unavailable(f"{program} is missing: install the package {package}.")
    cni_folder()
    if not PASSING.exists():
        raise Unavailable("The BPF objects are missing: run `make bpf`.")
    for tool in TOOLS:
        binary(tool)


def _is_root() -> bool:
    return Path("/proc/self").stat().st_uid == 0


class NativeCluster:
    """See `provider.Cluster`. `detached`: it outlives this process, until somebody releases its slot."""

    provider: Name = "native"

    def __init__(self, specs: Sequence[NodeSpec], *, detached: bool = False) -> None:
        self._tied = not detached
        self.slot = slots.take(detached=detached)
        self.nodes = tuple(spec.name for spec in specs)
        self._switch = Holder.network("switch", self.slot.folder, tied=self._tied)
        self._plane: ControlPlane | None = None
        self._names: Process | None = None
        self._nodes: dict[str, Node] = {}
        self._cuts: set[tuple[str, str]] = set()
        try:
            self._up(specs)
        except BaseException:
            self.close()
            raise

    @property
    def plane(self) -> ControlPlane:
        """The control plane itself, for identities and raw requests."""
        assert self._plane is not None
        return self._plane

    @property
    def kubeconfig(self) -> Path:
        return self.plane.kubeconfig

    def _up(self, specs: Sequence[NodeSpec]) -> None:
        nodes = [{"name": spec.name, "labels": dict(spec.labels)} for spec in specs]
        (self.slot.folder / NODES_FILE).write_text(json.dumps(nodes))
        self._start_switch()
        users = {f"system:node:{spec.name}": "system:nodes" for spec in specs}
        self._plane = ControlPlane(
            self.slot.folder,
            parts=WHOLE,
            address=self.slot.host_address,
            service_cidr=str(self.slot.services),
            users=users | {"system:kube-proxy": "system:node-proxiers"},
            tied=self._tied,
        )
        for part in WHOLE:
            self.plane.start(part)
        self._names = self._start_names()
        pause = images.pause()
        for index, spec in enumerate(specs, start=1):
            self._start_node(Place(self.slot, index, spec))
        for node in self._nodes.values():
            node.load_image(pause)
            node.start_kubernetes()
        wait_until("every node to be Ready", self._all_ready, READY_S, pause_s=0.3)

    def _start_switch(self) -> None:
        self._switch.start()
        self._switch.run("ip", "link", "add", "br0", "type", "bridge")
        self._switch.run("ip", "link", "set", "br0", "up")
        link, host = self.slot.link, f"{self.slot.host_address}/{self.slot.network.prefixlen}"
        _ip("link", "add", link, "type", "veth", "peer", "name", "host", "netns", str(self._switch.pid))
        self._attach("host")
        _ip("addr", "add", host, "dev", link)
        _ip("link", "set", link, "up")
        # What XDP wraps and sends on must have whole checksums, which a veth leaves to a card that never comes.
        subprocess.run(["ethtool", "-K", link, "tx", "off"], check=True, capture_output=True)

    def _attach(self, port: str) -> None:
        """As on a switch of metal: XDP may send back, which a veth lets through only where its other end runs XDP, too;
        and a node sees no frame for another, which a bridge floods until it knows better."""
        self._switch.run("ip", "link", "set", port, "master", "br0", "up")
        self._switch.run("ip", "link", "set", port, "xdp", "obj", str(PASSING), "sec", "xdp")
        self._switch.run("bridge", "link", "set", "dev", port, "flood", "off")

    def _start_names(self) -> Process:
        token = self.slot.folder / "names.token"
        token.write_text(self.plane.token)
        token.chmod(0o600)
        module = [sys.executable, "-m", "support.cluster.names"]
        argv = [
            "env",
            f"PYTHONPATH={TESTS}",
            *module,
            self.slot.host_address,
            self.plane.url,
            token,
            self.plane.pki.root,
        ]
        process = Process("names", argv, self.slot.folder, tied=self._tied)
        process.start()
        return process

    def _start_node(self, place: Place) -> None:
        user = f"system:node:{place.spec.name}"
        node = Node(
            place,
            kubelet_config=self._kubeconfig_of(user, f"kubelet-{place.index}"),
            proxy_config=self._kubeconfig_of("system:kube-proxy", "kube-proxy"),
            tied=self._tied,
        )
        self._nodes[place.spec.name] = node
        node.start_holder()
        self._plug_in(node)
        node.start_runtime()

    def _kubeconfig_of(self, user: str, name: str) -> Path:
        return self.plane.kubeconfig_for(self.plane.tokens[user], self.slot.folder / f"{name}.kubeconfig")

    def _plug_in(self, node: Node) -> None:
        """A cable to the switch, and routes between its pods and everybody who is there already."""
        place = node.place
        peer = ["peer", "name", "eth0", "netns", str(node.holder.pid)]
        self._switch.run("ip", "link", "add", place.port, "type", "veth", *peer)
        self._attach(place.port)
        node.run("ip", "addr", "add", f"{place.address}/{self.slot.network.prefixlen}", "dev", "eth0")
        node.run("ip", "link", "set", "eth0", "up")
        node.run("ip", "route", "add", "default", "via", self.slot.host_address)
        _ip("route", "add", self.slot.node_pods(place.index), "via", place.address)
        for other in self._nodes.values():
            if other is not node:
                _route_pods(node, to=other.place)
                _route_pods(other, to=place)

    def _all_ready(self) -> bool:
        for process in (node.kubelet for node in self._nodes.values()):
            process.check()
        _, found = self.plane.request("GET", "/api/v1/nodes")
        return {item["metadata"]["name"] for item in found["items"] if _ready(item)} == set(self.nodes)

    def kubectl(self, *args: str, check: bool = True, stdin: str | None = None) -> Finished:
        return self.plane.kubectl(*args, check=check, stdin=stdin)

    def load_image(self, archive: Path) -> None:
        """Two at once: it is the disk that takes the time."""
        with ThreadPoolExecutor(2) as loaders:
            list(loaders.map(lambda node: node.load_image(archive), self._nodes.values()))

    def run(self, node: str, *argv: str, check: bool = True, stdin: str | None = None) -> Finished:
        return self._node(node).run(*argv, check=check, stdin=stdin)

    def address(self, node: str) -> str:
        return self._node(node).place.address

    def cut(self, node: str, peer: str | None = None) -> None:
        self._cuts.add(self._ports(node, peer))
        self._apply_cuts()

    def heal(self, node: str, peer: str | None = None) -> None:
        self._cuts.discard(self._ports(node, peer))
        self._apply_cuts()

    def _ports(self, node: str, peer: str | None) -> tuple[str, str]:
        one = self._node(node).place.port
        low, high = sorted((one, one if peer is None else self._node(peer).place.port))
        return low, high

    def _apply_cuts(self) -> None:
        """The whole table at once: what was cut before never flickers."""
        self._switch.run("nft", "-f", "-", stdin=cut_table(self._cuts))

    def stop_kubelet(self, node: str) -> None:
        self._node(node).kubelet.stop()

    def kill_kubelet(self, node: str) -> None:
        self._node(node).kubelet.kill()

    def start_kubelet(self, node: str) -> None:
        self._node(node).kubelet.start()

    def stop(self, part: Part) -> None:
        self.plane.stop(part)

    def kill(self, part: Part) -> None:
        self.plane.kill(part)

    def start(self, part: Part) -> None:
        self.plane.start(part)

    def close(self) -> None:
        for node in self._nodes.values():
            node.close()
        self._nodes = {}
        if self._names is not None:
            self._names.kill()
        if self._plane is not None:
            self._plane.close()
        self._switch.process.kill()
        slots.release(self.slot)

    def _node(self, name: str) -> Node:
        if name not in self._nodes:
            raise ClusterError(f"There is no node '{name}': there are {', '.join(self._nodes) or 'none'}.")
        return self._nodes[name]


def nodes_of(slot: Slot) -> dict[str, Node]:
    """Those of a cluster that another process started."""
    specs = [NodeSpec(**one) for one in json.loads((slot.folder / NODES_FILE).read_text())]
    nothing = Path("/dev/null")  # they are up: nobody will start their kubelets from here
    return {
        spec.name: Node(Place(slot, index, spec), kubelet_config=nothing, proxy_config=nothing, tied=False)
        for index, spec in enumerate(specs, start=1)
    }


def cut_table(cuts: set[tuple[str, str]]) -> str:
    """The switch's rules: a pair of ports, or one port twice where it is cut off from all."""
    rules = []
    for one, other in sorted(cuts):
        if one == other:
            rules += [f"iifname {one} drop", f"oifname {one} drop"]
        else:
            rules += [f"iifname {one} oifname {other} drop", f"iifname {other} oifname {one} drop"]
    fresh = [f"table bridge {CUT_TABLE}", f"delete table bridge {CUT_TABLE}"]
    chain = ["chain forward {", "type filter hook forward priority 0", *rules, "}"]
    return "\n".join([*fresh, f"table bridge {CUT_TABLE} {{", *chain, "}", ""])


def _ip(*args: str) -> None:
    subprocess.run(["ip", *args], check=True, capture_output=True)


def _route_pods(node: Node, *, to: Place) -> None:
    node.run("ip", "route", "add", to.slot.node_pods(to.index), "via", to.address)


def _ready(node: Mapping[str, Any]) -> bool:
    conditions = node.get("status", {}).get("conditions", [])
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
