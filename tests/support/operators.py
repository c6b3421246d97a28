"""Operators as processes of their own, under the chart's rights, against a real API server whose nodes nobody runs."""

import atexit
import contextlib
import functools
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from sentinel_api.names import ROLE_BUFFER, ROLE_LABEL
from support.cluster import control_plane as planes
from support.cluster.binaries import binary
from support.cluster.processes import wait_until
from support.nursery import Child, Nursery

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "deploy/examples/buffercluster.yaml"
SYSTEM = "sentinel-system"
GROUP = "/apis/sentinel.io/v1alpha1"
FRONT = f"{GROUP}/namespaces/default/bufferclusters/front"
PATIENCE_S = 240.0  # a busy machine takes half a minute to start a process; it only ends what hangs


@functools.cache
def nursery() -> Nursery:
    """One for the whole run."""
    found = Nursery()
    atexit.register(found.close)
    return found


class Bench:
    """A control plane with the CRDs, three nodes that nobody runs, and operators as processes."""

    def __init__(self, plane: planes.ControlPlane, folder: Path, kubeconfig: Path) -> None:
        self.plane = plane
        self.kubeconfig = kubeconfig
        self.folder = folder
        self.operators: list[subprocess.Popen[bytes] | Child] = []
        self.metrics_ports: list[int] = []

    def operator(self, name: str, agent_image: str = "sentinel.test/agent:1") -> Child:
        """A fork of a process that has its modules loaded."""
        child = nursery().start(self._environment(name, agent_image), self.folder / f"{name}.log")
        self.operators.append(child)
        return child

    def operator_from_disk(self, name: str) -> subprocess.Popen[bytes]:
        """As its container starts it."""
        argv = [sys.executable, "-m", "sentinel_operator"]
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                argv, env=self._environment(name, "sentinel.test/agent:1"), stdout=log, stderr=log
            )
        self.operators.append(process)
        return process

    def _environment(self, name: str, agent_image: str) -> dict[str, str]:
        health, metrics = planes.free_ports("127.0.0.1", 2)
        self.metrics_ports.append(metrics)
        return {
            **os.environ,
            "KUBECONFIG": str(self.kubeconfig),
            "SENTINEL_AGENT_IMAGE": agent_image,
            "SENTINEL_NAMESPACE": SYSTEM,
            "SENTINEL_POD_NAME": name,
            "SENTINEL_HEALTH_PORT": str(health),
            "SENTINEL_METRICS_PORT": str(metrics),
        }

    def get(self, path: str):
        status, body = self.plane.request("GET", path)
        return body if status == 200 else None

    def may(self, verb: str, resource: str, group: str = "", namespace: str = "") -> bool:
        """What the API server would let the operator do now: a role counts a moment after it was written."""
        what = {"verb": verb, "resource": resource, "group": group, "namespace": namespace}
        spec = {"user": f"system:serviceaccount:{SYSTEM}:sentinel-operator", "resourceAttributes": what}
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": spec}
        code, answer = self.plane.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", body)
        assert code == 201, answer
        return bool(answer["status"]["allowed"])

    def condition(self, kind: str, path: str = FRONT) -> tuple[str, str]:
        found = (self.get(path) or {}).get("status", {}).get("conditions", [])
        return next(((c["status"], c["reason"]) for c in found if c["type"] == kind), ("", ""))

    def agent_says(self, node: str, **status) -> None:
        """What the agent of that node would write."""
        orders = self.get(f"{GROUP}/buffernodes/{node}")["spec"]
        condition = {
            "type": "Ready",
            "status": "True",
            "reason": "Ticking",
            "lastTransitionTime": "2030-01-01T00:00:00Z",
        }
        said = {"state": "Active", "configDigest": orders["configDigest"], "conditions": [condition],
                "dataPlane": {"tier": "B", "reason": "Htb"}, **status}  # fmt: skip
        code, answer = self.plane.request(
            "PATCH", f"{GROUP}/buffernodes/{node}/status", {"status": said}, content_type="application/merge-patch+json"
        )
        assert code == 200, answer

    def logs(self) -> str:
        return "\n".join(path.read_text() for path in sorted(self.folder.glob("*.log")))


def rights(**values) -> str:
    """What the chart allows the operator with these values, and nothing else; no mesh unless they ask for one."""
    wanted = json.dumps({"mesh": {"port": 0}} | values)
    chart = str(ROOT / "deploy/helm/sentinel")
    argv = [str(binary("helm")), "template", "--kube-version=1.34.4", "sentinel", chart, "-n", SYSTEM]
    argv += ["-s", "templates/rbac.yaml"]
    argv += ["-f", "-"]
    return subprocess.run(argv, input=wanted, capture_output=True, text=True, check=True).stdout


@contextlib.contextmanager
def prepared(folder: Path, parts: Sequence[planes.Part] = planes.BARE) -> Iterator[planes.ControlPlane]:
    """A control plane with the CRDs and the operator's rights."""
    with planes.running(folder, parts=parts) as plane:
        for crd in sorted((ROOT / "crds").glob("*.yaml")):
            plane.kubectl("apply", "-f", str(crd))
        plane.wait_served("bufferclusters", "buffernodes")
        plane.kubectl("create", "namespace", SYSTEM)
        plane.kubectl("apply", "-f", "-", stdin=rights())
        yield plane


@contextlib.contextmanager
def running(folder: Path, parts: Sequence[planes.Part] = (*planes.BARE, "controller-manager")) -> Iterator[Bench]:
    """The same with three nodes that carry the role, and operators to start."""
    with prepared(folder, parts) as plane:
        for name in ("n1", "n2", "n3"):
            node = {"metadata": {"name": name, "labels": {ROLE_LABEL: ROLE_BUFFER}}}
            assert plane.request("POST", "/api/v1/nodes", node)[0] == 201
        token = plane.service_account_token(SYSTEM, "sentinel-operator")
        here = Bench(plane, folder, plane.kubeconfig_for(token, folder / "operator.kubeconfig"))
        until(here, "it may watch what it looks after", lambda: here.may("watch", "bufferclusters", "sentinel.io"))
        until(here, "it may lead", lambda: here.may("create", "leases", "coordination.k8s.io", SYSTEM))
        yield here
        for process in here.operators:
            process.kill()
            process.wait()


def until(bench: Bench, what: str, holds) -> None:
    try:
        wait_until(what, holds, PATIENCE_S)
    except Exception as error:
        error.add_note(bench.logs()[-4000:])
        raise
