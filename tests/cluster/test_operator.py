"""The operator as a process of its own against a real API server: one resource in, objects and a status out."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from sentinel_api.names import CLUSTER_LABEL, FINALIZER, ROLE_BUFFER, ROLE_LABEL
from support.cluster import control_plane as planes
from support.cluster.binaries import binary
from support.cluster.processes import wait_until

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "deploy/examples/buffercluster.yaml"
SYSTEM = "sentinel-system"
GROUP = "/apis/sentinel.io/v1alpha1"
FRONT = f"{GROUP}/namespaces/default/bufferclusters/front"
PATIENCE_S = 60.0


class Bench:
    """A control plane with the CRDs, three nodes that nobody runs, and operators as processes."""

    def __init__(self, plane: planes.ControlPlane, folder: Path, kubeconfig: Path) -> None:
        self.plane = plane
        self.kubeconfig = kubeconfig
        self.folder = folder
        self.operators: list[subprocess.Popen[bytes]] = []

    def operator(self, name: str) -> subprocess.Popen[bytes]:
        env = {
            **os.environ,
            "KUBECONFIG": str(self.kubeconfig),
            "SENTINEL_AGENT_IMAGE": "sentinel.test/agent:1",
            "SENTINEL_NAMESPACE": SYSTEM,
            "SENTINEL_POD_NAME": name,
            "SENTINEL_HEALTH_PORT": str(planes.free_ports("127.0.0.1", 1)[0]),
            "SENTINEL_METRICS_PORT": str(planes.free_ports("127.0.0.1", 1)[0]),
        }
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen([sys.executable, "-m", "sentinel_operator"], env=env, stdout=log, stderr=log)
        self.operators.append(process)
        return process

    def get(self, path: str):
        status, body = self.plane.request("GET", path)
        return body if status == 200 else None

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


def rights() -> str:
    """What the chart allows the operator, and nothing else."""
    chart = str(ROOT / "deploy/helm/sentinel")
    argv = [str(binary("helm")), "template", "--kube-version=1.34.4", "sentinel", chart, "-n", SYSTEM]
    argv += ["-s", "templates/rbac.yaml"]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, control_plane) -> Iterator[Bench]:  # its skip is ours too
    folder = tmp_path_factory.mktemp("operator")
    with planes.running(folder, parts=(*planes.BARE, "controller-manager")) as plane:
        for crd in sorted((ROOT / "crds").glob("*.yaml")):
            plane.kubectl("apply", "-f", str(crd))
        plane.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
        plane.kubectl("create", "namespace", SYSTEM)
        for name in ("n1", "n2", "n3"):
            node = {"metadata": {"name": name, "labels": {ROLE_LABEL: ROLE_BUFFER}}}
            assert plane.request("POST", "/api/v1/nodes", node)[0] == 201
        plane.kubectl("apply", "-f", "-", stdin=rights())
        token = plane.service_account_token(SYSTEM, "sentinel-operator")
        here = Bench(plane, folder, plane.kubeconfig_for(token, folder / "operator.kubeconfig"))
        yield here
        for process in here.operators:
            process.kill()
            process.wait()


@pytest.fixture
def front(bench: Bench) -> Iterator[Bench]:
    """The ten-line cluster under one operator; both are gone afterwards."""
    process = bench.operator("op")
    bench.plane.kubectl("apply", "-f", str(EXAMPLE))
    yield bench
    process.send_signal(signal.SIGTERM)  # first, or it would put its finalizer back
    process.wait(20)
    freed = '{"metadata":{"finalizers":null}}'
    bench.plane.kubectl("patch", "bufferclusters", "front", "--type=merge", "-p", freed, check=False)
    bench.plane.kubectl("delete", "bufferclusters,buffernodes,daemonsets", "--all", "--timeout=60s", check=False)
    bench.plane.kubectl("delete", "lease", "-n", SYSTEM, "--all", check=False)


def until(bench: Bench, what: str, holds) -> None:
    try:
        wait_until(what, holds, PATIENCE_S)
    except Exception as error:
        error.add_note(bench.logs()[-4000:])
        raise


def test_ten_lines_become_agents_orders_and_a_ready_status_and_leave_nothing(front):
    until(front, "agents are ordered", lambda: front.get("/apis/apps/v1/namespaces/default/daemonsets/front-agent"))
    until(front, "three orders", lambda: len(front.get(f"{GROUP}/buffernodes")["items"]) == 3)
    until(front, "it waits for agents", lambda: front.condition("Ready") == ("False", "AgentsNotReady"))
    node = front.get("/api/v1/nodes/n1")
    assert node["metadata"]["labels"][CLUSTER_LABEL] == "default.front"
    config = front.get(f"{GROUP}/buffernodes/n1")["spec"]["configDigest"].removeprefix("sha256:")[:12]
    assert front.get(f"/api/v1/namespaces/default/configmaps/front-config-{config}")["immutable"]

    for name in ("n1", "n2", "n3"):
        front.agent_says(name)
    until(front, "it is ready", lambda: front.condition("Ready") == ("True", "AllAgentsReady"))
    status = front.get(FRONT)["status"]
    assert (status["nodes"], status["readyNodes"], status["tiers"]["b"]) == (3, 3, 3)
    assert status["classIds"] == {"chat": 1, "orders": 2}

    front.plane.kubectl("delete", "bufferclusters", "front", "--wait=false")
    orders = f"{GROUP}/buffernodes/n1"
    until(front, "agents are told to hand back", lambda: front.get(orders)["spec"]["desiredState"] == "Detached")
    assert FINALIZER in front.get(FRONT)["metadata"]["finalizers"], "it must not go before the agents have answered"
    for name in ("n1", "n2", "n3"):
        front.agent_says(name, state="Detached")
    until(front, "the cluster is gone", lambda: front.get(FRONT) is None)
    until(front, "orders are gone", lambda: not front.get(f"{GROUP}/buffernodes")["items"])
    until(front, "agents are gone", lambda: not front.get("/apis/apps/v1/namespaces/default/daemonsets")["items"])
    assert CLUSTER_LABEL not in front.get("/api/v1/nodes/n1")["metadata"]["labels"]


def test_drift_is_repaired_and_foreign_fields_stay(front):
    daemonset = "/apis/apps/v1/namespaces/default/daemonsets/front-agent"
    until(front, "agents are ordered", lambda: front.get(daemonset))
    front.plane.kubectl("annotate", "ds", "front-agent", "example.com/mine=1")
    front.plane.kubectl("delete", "service", "front-agents")
    front.plane.kubectl("annotate", "bufferclusters", "front", "example.com/look=again")
    until(front, "the Service is back", lambda: front.get("/api/v1/namespaces/default/services/front-agents"))
    assert front.get(daemonset)["metadata"]["annotations"]["example.com/mine"] == "1"


def test_a_second_replica_waits_and_takes_over_when_the_leader_is_killed(front):
    until(
        front,
        "the first one leads",
        lambda: front.get(f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases/sentinel-operator"),
    )
    second = front.operator("op2")
    lease = f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases/sentinel-operator"
    until(front, "the second one waits", lambda: "lease_wanted" in (front.folder / "op2.log").read_text())
    assert front.get(lease)["spec"]["holderIdentity"] == "op"
    next(p for p in front.operators if p is not second and p.poll() is None).kill()
    until(front, "the second one leads", lambda: front.get(lease)["spec"]["holderIdentity"] == "op2")
    front.plane.kubectl("label", "node", "n3", f"{ROLE_LABEL}-", "--overwrite")
    until(front, "it works", lambda: len(front.get(f"{GROUP}/buffernodes")["items"]) == 2)
    front.plane.kubectl("label", "node", "n3", f"{ROLE_LABEL}={ROLE_BUFFER}")
    second.terminate()
    second.wait(20)
    assert front.get(FRONT), "taking over must not cost the cluster"


def test_the_example_in_the_readme_is_the_one_that_is_tested():
    assert len([line for line in EXAMPLE.read_text().splitlines() if line.strip()]) <= 10
    assert yaml.safe_load(EXAMPLE.read_text())["kind"] == "BufferCluster"
