"""What a test may ask of a cluster, whoever provides it."""

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from support.cluster.control_plane import Part

Name = Literal["kind", "native", "existing"]
NAMES: tuple[Name, ...] = ("kind", "native", "existing")

Finished = subprocess.CompletedProcess[str]


@dataclass(frozen=True, slots=True)
class NodeSpec:
    """A node as the test wants it."""

    name: str
    labels: Mapping[str, str] = field(default_factory=dict)


def node_specs(count: int, labels: Mapping[int, Mapping[str, str]] | None = None) -> tuple[NodeSpec, ...]:
    """node1 … nodeN; `labels` by the node's number."""
    return tuple(NodeSpec(f"node{number}", (labels or {}).get(number, {})) for number in range(1, count + 1))


class Cluster(Protocol):
    """A running cluster. What a provider cannot do raises `Unavailable` with the reason."""

    @property
    def provider(self) -> Name: ...

    @property
    def kubeconfig(self) -> Path: ...

    @property
    def nodes(self) -> tuple[str, ...]:
        """As Kubernetes calls them, in the order of the specs; the names may be the provider's own."""

    def kubectl(self, *args: str, check: bool = True, stdin: str | None = None) -> Finished: ...

    def load_image(self, archive: Path) -> None:
        """Make the image of a docker or OCI archive known to every node; pods name it with `imagePullPolicy: Never`."""

    def run(self, node: str, *argv: str, check: bool = True, stdin: str | None = None) -> Finished:
        """A command on the node itself: its network, its mounts, its processes."""

    def address(self, node: str) -> str:
        """The node's address in the network that joins the nodes."""

    def cut(self, node: str, peer: str | None = None) -> None:
        """Lose every frame between the node and `peer`, or everybody; the carrier stays, nobody is told."""

    def heal(self, node: str, peer: str | None = None) -> None: ...

    def stop_kubelet(self, node: str) -> None: ...

    def kill_kubelet(self, node: str) -> None:
        """As a crash would; it stays dead until `start_kubelet`."""

    def start_kubelet(self, node: str) -> None: ...

    def stop(self, part: Part) -> None:
        """Stop a part of the control plane until `start`."""

    def kill(self, part: Part) -> None: ...

    def start(self, part: Part) -> None: ...

    def close(self) -> None:
        """Leave nothing behind. May be called twice."""
