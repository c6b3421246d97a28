"""The existing provider: a cluster that somebody else runs, named by KUBECONFIG; it is borrowed, not owned."""

# ruff: noqa: ARG002  # the protocol names the arguments of what is refused here

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from support.cluster.binaries import kubectl
from support.cluster.control_plane import Part
from support.cluster.errors import Unavailable
from support.cluster.provider import Finished, Name, NodeSpec

CONTROL_PLANE_LABEL = "node-role.kubernetes.io/control-plane"


def check() -> None:
    """Raise `Unavailable` with one sentence unless KUBECONFIG names a file and there is a kubectl."""
    path = os.environ.get("KUBECONFIG", "")
    if not path:
        raise Unavailable("KUBECONFIG is not set: let it name the kubeconfig of the cluster to use.")
    if not Path(path).is_file():
        raise Unavailable(f"KUBECONFIG names {path}, which is no file: let it name one kubeconfig.")
    kubectl()


class ExistingCluster:
    """See `provider.Cluster`. Only the labels that the test asks for are changed, and given back by `close`."""

    provider: Name = "existing"

    def __init__(self, specs: Sequence[NodeSpec]) -> None:
        self.kubeconfig = Path(os.environ["KUBECONFIG"])
        self._found = json.loads(self.kubectl("get", "nodes", "-o", "json").stdout)["items"]
        self.nodes = workers(self._found, len(specs))
        self._labelled: dict[str, Mapping[str, str]] = {}
        try:
            for node, spec in zip(self.nodes, specs, strict=True):
                if spec.labels:
                    self._labelled[node] = spec.labels
                    self._label(node, spec.labels)
        except BaseException:
            self.close()
            raise

    def kubectl(self, *args: str, check: bool = True, stdin: str | None = None) -> Finished:
        command = [str(kubectl()), f"--kubeconfig={self.kubeconfig}", *args]
        return subprocess.run(command, check=check, capture_output=True, text=True, input=stdin)

    def address(self, node: str) -> str:
        (item,) = (one for one in self._found if one["metadata"]["name"] == node)
        return next(str(one["address"]) for one in item["status"]["addresses"] if one["type"] == "InternalIP")

    def close(self) -> None:
        before = {item["metadata"]["name"]: item["metadata"].get("labels", {}) for item in self._found}
        for node, labels in self._labelled.items():
            self._label(node, {key: before[node].get(key) for key in labels})
        self._labelled = {}

    def _label(self, node: str, labels: Mapping[str, str | None]) -> None:
        words = [f"{key}-" if value is None else f"{key}={value}" for key, value in labels.items()]
        self.kubectl("label", "--overwrite", "node", node, *words)

    def load_image(self, archive: Path) -> None:
        _refuse("load images", "push the image to a registry that the cluster can reach")

    def run(self, node: str, *argv: str, check: bool = True, stdin: str | None = None) -> Finished:
        _refuse("run commands on a node", "use --cluster=native or --cluster=kind")

    def cut(self, node: str, peer: str | None = None) -> None:
        _refuse("cut a link", "use --cluster=native or --cluster=kind")

    def heal(self, node: str, peer: str | None = None) -> None:
        _refuse("heal a link", "use --cluster=native or --cluster=kind")

    def stop_kubelet(self, node: str) -> None:
        _refuse("stop a kubelet", "use --cluster=native or --cluster=kind")

    def kill_kubelet(self, node: str) -> None:
        _refuse("kill a kubelet", "use --cluster=native or --cluster=kind")

    def start_kubelet(self, node: str) -> None:
        _refuse("start a kubelet", "use --cluster=native or --cluster=kind")

    def stop(self, part: Part) -> None:
        _refuse(f"stop the {part}", "use --cluster=native or --cluster=kind")

    def kill(self, part: Part) -> None:
        _refuse(f"kill the {part}", "use --cluster=native or --cluster=kind")

    def start(self, part: Part) -> None:
        _refuse(f"start the {part}", "use --cluster=native or --cluster=kind")


def workers(items: Sequence[Mapping[str, Any]], count: int) -> tuple[str, ...]:
    """The first `count` nodes, those without a control plane first."""
    ordered = sorted(items, key=lambda item: CONTROL_PLANE_LABEL in item["metadata"].get("labels", {}))
    if len(ordered) < count:
        raise Unavailable(f"The cluster of KUBECONFIG has {len(ordered)} nodes and this test needs {count}: add some.")
    return tuple(str(item["metadata"]["name"]) for item in ordered[:count])


def _refuse(deed: str, instead: str) -> NoReturn:
    raise Unavailable(f"The provider 'existing' does not {deed}, for the cluster is not ours: {instead}.")
