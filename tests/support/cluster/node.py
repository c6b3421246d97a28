"""One native node: namespaces of its own, and in them containerd, kubelet and kube-proxy as on any machine."""

import functools
import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from support.cluster.binaries import binary
from support.cluster.errors import ClusterError, Unavailable
from support.cluster.namespaces import Holder
from support.cluster.processes import Process, wait_until
from support.cluster.provider import Finished, NodeSpec
from support.cluster.slots import Slot

CNI_FOLDERS = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))
CNI_PLUGINS = ("ptp", "host-local", "loopback", "portmap")
CONTAINERD_UP_S = 120.0
PAUSE_IMAGE = "sentinel.test/pause:1"


def cni_folder() -> Path:
    for folder in CNI_FOLDERS:
        if all((folder / plugin).exists() for plugin in CNI_PLUGINS):
            return folder
    raise Unavailable("The CNI plugins are missing: install containernetworking-plugins.")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a node stands in its cluster."""

    slot: Slot
    index: int
    spec: NodeSpec

    @property
    def folder(self) -> Path:
        return self.slot.folder / f"node{self.index}"

    @property
    def port(self) -> str:
        """The switch's end of its cable."""
        return f"port{self.index}"

    @property
    def address(self) -> str:
        return self.slot.node_address(self.index)


class Node:
    """Owns the processes; the cluster owns the cables."""

    def __init__(self, place: Place, *, kubelet_config: Path, proxy_config: Path, tied: bool) -> None:
        self.place = place
        self._kubelet_config = kubelet_config
        self._proxy_config = proxy_config
        self._tied = tied
        self.holder = Holder.node(place.spec.name, place.folder, tied=tied)
        self._started: list[Process] = []

    def start_holder(self) -> None:
        self.place.folder.mkdir(parents=True)
        self.holder.start()

    def start_runtime(self) -> None:
        self._write_files()
        config = self.place.folder / "containerd.toml"
        self._start(self._process("containerd", ["containerd", f"--config={config}"]))
        wait_until(f"containerd on {self.place.spec.name}", self._runtime_answers, CONTAINERD_UP_S)

    def start_kubernetes(self) -> None:
        self._start(self.kubelet)
        self._start(self._process("kube-proxy", self._proxy_command()))

    def _start(self, process: Process) -> None:
        self._started.append(process)
        process.start()

    def load_image(self, archive: Path) -> None:
        """Through a pipe: the node does not see every folder of the host."""
        with archive.open("rb") as image:
            command = [*self.holder.enter(), "ctr", "--namespace=k8s.io", "images", "import", "-"]
            done = subprocess.run(command, stdin=image, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            raise ClusterError(f"{archive} is no image that containerd can load: {done.stderr.strip()}")

    def run(self, *argv: str, check: bool = True, stdin: str | None = None) -> Finished:
        return self.holder.run(*argv, check=check, stdin=stdin)

    def close(self) -> None:
        """The holder's end takes every process and mount with it; the files stay for `slots.clear`."""
        self.holder.process.kill()
        for process in self._started:
            process.kill()

    @functools.cached_property
    def kubelet(self) -> Process:
        spec = self.place.spec
        arguments = [
            str(binary("kubelet")),
            f"--config={self.place.folder / 'kubelet.yaml'}",
            f"--kubeconfig={self._kubelet_config}",
            f"--hostname-override={spec.name}",
            f"--node-ip={self.place.address}",
            f"--node-labels={','.join(f'{key}={value}' for key, value in spec.labels.items())}",
        ]
        return self._process("kubelet", arguments)

    def _proxy_command(self) -> list[str]:
        return [
            str(binary("kube-proxy")),
            f"--kubeconfig={self._proxy_config}",
            f"--hostname-override={self.place.spec.name}",
            "--proxy-mode=nftables",
            f"--cluster-cidr={self.place.slot.pods}",
            # Conntrack's limits are the machine's, not the namespace's: leave them alone.
            "--conntrack-max-per-core=0",
            "--conntrack-min=0",
            "--conntrack-tcp-timeout-established=0s",
            "--conntrack-tcp-timeout-close-wait=0s",
        ]

    def _process(self, name: str, arguments: Sequence[str]) -> Process:
        return Process(name, [*self.holder.enter(), *arguments], self.place.folder, tied=self._tied)

    def _runtime_answers(self) -> bool:
        return self.run("ctr", "version", check=False).returncode == 0

    def _write_files(self) -> None:
        network = self.place.folder / "cni"
        network.mkdir()
        (network / "10-ptp.conflist").write_text(json.dumps(_pod_network(self.place)))
        (self.place.folder / "kubelet.yaml").write_text(yaml.safe_dump(_kubelet(self.place)))
        (self.place.folder / "containerd.toml").write_text(_containerd(network, cni_folder()))


def _containerd(network: Path, plugins: Path) -> str:
    return f"""version = 2
[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true  # lowering it needs CAP_SYS_RESOURCE
  disable_apparmor = true
  sandbox_image = "{PAUSE_IMAGE}"
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "{plugins}"
  conf_dir = "{network}"
"""


def _pod_network(place: Place) -> dict[str, object]:
    """A routed cable a pod, no bridge: a Service's answer then always passes the node's own rules on its way back."""
    ranges = [[{"subnet": place.slot.node_pods(place.index)}]]
    addresses = {"type": "host-local", "ranges": ranges, "routes": [{"dst": "0.0.0.0/0"}]}
    plugins = [{"type": "ptp", "ipam": addresses}, {"type": "portmap", "capabilities": {"portMappings": True}}]
    return {"cniVersion": "0.4.0", "name": "pods", "plugins": plugins}


def _kubelet(place: Place) -> dict[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        # Only the test's own network reaches it.
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",  # the default lies below /usr, which nodes share
        "resolvConf": "",
        "clusterDNS": [place.slot.host_address],
        "clusterDomain": "cluster.local",
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": False,
        "enforceNodeAllocatable": [],
        "failCgroupV1": False,
        "failSwapOn": False,
        "featureGates": {"KubeletInUserNamespace": True},  # do without the sysctls and scores it may not write here
        "localStorageCapacityIsolation": False,
        # A full disk of the machine is no matter of the test.
        "evictionHard": {"nodefs.available": "0%", "imagefs.available": "0%", "nodefs.inodesFree": "0%"},
        "imageGCHighThresholdPercent": 100,
        # A dead node is to be noticed within a test's patience (40 s and more by default).
        "nodeLeaseDurationSeconds": 20,
        "nodeStatusUpdateFrequency": "5s",
    }
