"""The kind provider: its nodes are containers, for machines where Docker may be `privileged`."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import yaml

from support.cluster.binaries import kubectl
from support.cluster.control_plane import Part
from support.cluster.errors import ClusterError, Unavailable
from support.cluster.provider import Finished, Name, NodeSpec

CAP_SYS_RESOURCE = 24
MANIFESTS = "/etc/kubernetes/manifests"
PARKED = "/etc/kubernetes/parked"
WAIT = "180s"
FORWARDING, DISABLED = 3, 0  # states of a bridge's port


def check() -> None:
    """Raise `Unavailable` with one sentence unless Docker can start kind's nodes."""
    for program in ("docker", "kind"):
        if shutil.which(program) is None:
            raise Unavailable(f"{program} is missing: install {program}, or use --cluster=native.")
    kubectl()
    if _docker("info", check=False).returncode != 0:
        raise Unavailable("Docker does not answer: start it (or join its group), or use --cluster=native.")
    if not capability_bounds() >> CAP_SYS_RESOURCE & 1:
        raise Unavailable(
            "CAP_SYS_RESOURCE is taken from this machine, so Docker cannot be `privileged`: use --cluster=native."
        )


def capability_bounds() -> int:
    """What any process here may ever hold, as the kernel's bit mask."""
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("CapBnd")), 16)


def config(specs: Sequence[NodeSpec]) -> str:
    """One control plane that runs no test pods, and a worker a node."""
    nodes = [{"role": "control-plane"}, *({"role": "worker", "labels": dict(spec.labels)} for spec in specs)]
    return yaml.safe_dump({"kind": "Cluster", "apiVersion": "kind.x-k8s.io/v1alpha4", "nodes": nodes})


def node_names(cluster: str, count: int) -> tuple[str, ...]:
    """As kind calls its workers."""
    return tuple(f"{cluster}-worker{number if number > 1 else ''}" for number in range(1, count + 1))


def create(cluster: str, config_file: Path, kubeconfig: Path) -> list[str]:
    files = [f"--config={config_file}", f"--kubeconfig={kubeconfig}"]
    return ["kind", "create", "cluster", f"--name={cluster}", *files, f"--wait={WAIT}"]


def crash_kubelet() -> str:
    """A shell line: systemd would start it again at once."""
    folder = "/run/systemd/system/kubelet.service.d"
    no_restart = (
        f"mkdir -p {folder} && printf '[Service]\\nRestart=no\\n' >{folder}/test.conf && systemctl daemon-reload"
    )
    return f"{no_restart} && systemctl kill --signal=KILL kubelet"


def park(part: Part) -> str:
    """A shell line: kubelet ends a static pod whose manifest is gone."""
    return f"mkdir -p {PARKED} && mv {MANIFESTS}/{_manifest(part)} {PARKED}/"


def crash(part: Part) -> str:
    name = _manifest(part).removesuffix(".yaml")
    return f"{park(part)} && crictl ps --quiet --name '^{name}$' | xargs -r crictl stop --timeout 0"


def unpark(part: Part) -> str:
    return f"mv {PARKED}/{_manifest(part)} {MANIFESTS}/"


def port_state(image: str, link: str, state: int) -> list[str]:
    """The host's end of a node's cable belongs to root: a privileged container of the node's own image may set it."""
    helper = ["run", "--rm", "--privileged", "--network=host", "--pull=never", "--entrypoint=/bin/sh", image, "-c"]
    return [*helper, f"ip link set dev {link} type bridge_slave state {state}"]


def _manifest(part: Part) -> str:
    return "etcd.yaml" if part == "etcd" else f"kube-{part}.yaml"


def _docker(*args: str, check: bool = True, stdin: str | None = None) -> Finished:
    return subprocess.run(["docker", *args], check=check, capture_output=True, text=True, input=stdin)


class KindCluster:
    """See `provider.Cluster`."""

    provider: Name = "kind"

    def __init__(self, specs: Sequence[NodeSpec]) -> None:
        self._name = f"sn-test-{os.getpid()}"
        self._folder = Path(tempfile.mkdtemp(prefix=f"{self._name}-"))
        self.kubeconfig = self._folder / "kubeconfig"
        self.nodes = node_names(self._name, len(specs))
        self._cut: set[str] = set()
        config_file = self._folder / "kind.yaml"
        config_file.write_text(config(specs))
        try:
            made = subprocess.run(
                create(self._name, config_file, self.kubeconfig), check=False, capture_output=True, text=True
            )
            if made.returncode != 0:
                raise ClusterError(f"kind could not start its nodes: {made.stderr.strip()}")
        except BaseException:
            self.close()
            raise

    def kubectl(self, *args: str, check: bool = True, stdin: str | None = None) -> Finished:
        command = [str(kubectl()), f"--kubeconfig={self.kubeconfig}", *args]
        return subprocess.run(command, check=check, capture_output=True, text=True, input=stdin)

    def load_image(self, archive: Path) -> None:
        command = ["kind", "load", "image-archive", str(archive), f"--name={self._name}"]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode != 0:
            raise ClusterError(f"{archive} is no image that kind can load: {done.stderr.strip()}")

    def run(self, node: str, *argv: str, check: bool = True, stdin: str | None = None) -> Finished:
        return _docker("exec", "--interactive", "--privileged", self._node(node), *argv, check=check, stdin=stdin)

    def address(self, node: str) -> str:
        form = "{{.NetworkSettings.Networks.kind.IPAddress}}"
        return _docker("inspect", "--format", form, self._node(node)).stdout.strip()

    def cut(self, node: str, peer: str | None = None) -> None:
        self._set_port(node, peer, DISABLED)
        self._cut.add(node)

    def heal(self, node: str, peer: str | None = None) -> None:
        self._set_port(node, peer, FORWARDING)
        self._cut.discard(node)

    def _set_port(self, node: str, peer: str | None, state: int) -> None:
        if peer is not None:
            raise Unavailable("The provider 'kind' cuts a node off from everybody, not from one: use --cluster=native.")
        index = self.run(node, "cat", "/sys/class/net/eth0/iflink").stdout.strip()
        image = _docker("inspect", "--format", "{{.Image}}", node).stdout.strip()
        find = f"$(ip -o link | sed -n 's/^{index}: \\([^@:]*\\).*/\\1/p')"
        _docker(*port_state(image, find, state))

    def stop_kubelet(self, node: str) -> None:
        self.run(node, "systemctl", "stop", "kubelet")

    def kill_kubelet(self, node: str) -> None:
        self.run(node, "sh", "-c", crash_kubelet())

    def start_kubelet(self, node: str) -> None:
        self.run(node, "systemctl", "start", "kubelet")

    def stop(self, part: Part) -> None:
        self._on_control_plane(park(part))

    def kill(self, part: Part) -> None:
        self._on_control_plane(crash(part))

    def start(self, part: Part) -> None:
        self._on_control_plane(unpark(part))

    def _on_control_plane(self, line: str) -> None:
        _docker("exec", f"{self._name}-control-plane", "sh", "-c", line)

    def close(self) -> None:
        subprocess.run(["kind", "delete", "cluster", f"--name={self._name}"], check=False, capture_output=True)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _node(self, name: str) -> str:
        if name not in self.nodes:
            raise ClusterError(f"There is no node '{name}': there are {', '.join(self.nodes)}.")
        return name
