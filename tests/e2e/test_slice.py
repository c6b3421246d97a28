"""The thinnest whole: helm install, the ten-line resource, agents with real XDP on real kubelets, and nothing left."""

import json
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.cluster.binaries import binary
from support.cluster.processes import wait_until
from support.cluster.provider import Cluster, NodeSpec

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "deploy/examples/buffercluster.yaml"
CHART = ROOT / "deploy/helm/sentinel"
BUFFER = {"sentinel.io/role": "buffer"}
NODES = (NodeSpec("node1", BUFFER), NodeSpec("node2", BUFFER), NodeSpec("node3"))
SYSTEM = "sentinel-system"
SBOM = "usr/share/sentinel/sbom.cdx.json"
PATIENCE_S = 240.0

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def images() -> tuple[Path, ...]:
    """The images as users get them: from the Dockerfiles."""
    done = subprocess.run([ROOT / "tools/images.sh", "operator", "agent"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return tuple(ROOT / "out/images" / f"{name}.tar" for name in ("operator", "agent"))


@pytest.fixture(scope="module")
def sentinel(new_cluster, images) -> Iterator[Cluster]:
    """A cluster with the chart installed."""
    cluster = new_cluster(NODES)
    for image in images:
        cluster.load_image(image)
    helm(
        cluster, "install", "sentinel", str(CHART), "-n", SYSTEM, "--create-namespace",
        "--set", "image.operator=sentinel.test/operator,image.agent=sentinel.test/agent,image.tag=dev",
        "--set", "image.pullPolicy=Never,operator.replicas=1,bpffs=/run/sentinel/bpf",
    )  # fmt: skip
    return cluster


def helm(cluster: Cluster, *args: str) -> None:
    command = [binary("helm"), "--kubeconfig", cluster.kubeconfig, *args]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def get(cluster: Cluster, *args: str):
    done = cluster.kubectl("get", *args, "-o", "json", check=False)
    return json.loads(done.stdout) if done.returncode == 0 else None


def until(cluster: Cluster, what: str, holds) -> None:
    try:
        wait_until(what, holds, PATIENCE_S, pause_s=0.5)
    except Exception as error:
        for args in (
            ("get", "pods,ds,bufc,bufn", "-A", "-o", "wide"),
            ("describe", "pods", "-A"),
            ("get", "bufc,bufn", "-A", "-o", "yaml"),
            ("logs", "-n", SYSTEM, "-l", "app.kubernetes.io/name=sentinel-operator", "--tail=50"),
            ("logs", "-l", "app.kubernetes.io/component=agent", "--tail=50"),
        ):
            error.add_note(cluster.kubectl(*args, check=False).stdout[-6000:])
        raise


def ready(cluster: Cluster) -> bool:
    found = get(cluster, "bufc", "front") or {}
    conditions = found.get("status", {}).get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def xdp_on(cluster: Cluster, node: str) -> bool:
    return "sn_ingress" in cluster.run(node, "ip", "-d", "link", "show", "dev", "eth0").stdout


def test_ten_lines_make_a_ready_cluster_with_programs_and_queues_on_its_nodes_alone(sentinel):
    sentinel.kubectl("apply", "-f", str(EXAMPLE))
    until(sentinel, "the BufferCluster is ready", lambda: ready(sentinel))
    first, second, spare = sentinel.nodes
    assert [xdp_on(sentinel, node) for node in (first, second, spare)] == [True, True, False]
    nodes = {item["metadata"]["name"]: item["status"] for item in get(sentinel, "bufn")["items"]}
    assert nodes.keys() == {first, second}
    assert {status["dataPlane"]["tier"] for status in nodes.values()} == {"B"}
    assert all(len(status["forecast"]["points"]) == 4 for status in nodes.values())
    assert "htb 5e17:" in sentinel.run(first, "tc", "qdisc").stdout


def bill(image: Path) -> set[str]:
    """Names of what the image says that it holds."""
    with tarfile.open(image) as whole:
        layers = json.load(whole.extractfile("manifest.json"))[0]["Layers"]
        for layer in layers:
            with tarfile.open(fileobj=whole.extractfile(layer)) as files:
                if SBOM in files.getnames():
                    return {each["name"] for each in json.load(files.extractfile(SBOM))["components"]}
    return set()


def test_each_image_tells_what_is_in_it(images):
    operator, agent = (bill(image) for image in images)
    assert {"kopf", "numpy", "libc6", "python3"} <= operator
    assert {"pyroute2", "onnxruntime", "libbpf1", "python3"} <= agent
    assert not agent & {"kopf", "kubernetes"}, "an agent speaks to the API server by itself"


def test_an_agent_that_is_replaced_takes_over_what_is_there(sentinel):
    until(sentinel, "the BufferCluster is ready", lambda: ready(sentinel))
    before = agents(sentinel)
    sentinel.kubectl("delete", "pod", "-l", "app.kubernetes.io/component=agent", "--wait=true")
    until(sentinel, "new agents work", lambda: len(agents(sentinel)) == 2 and not before & agents(sentinel))
    assert xdp_on(sentinel, sentinel.nodes[0])


def agents(cluster: Cluster) -> set[str]:
    """Agents that are ready, by the identity of their pod."""
    pods = get(cluster, "pods", "-l", "app.kubernetes.io/component=agent")["items"]
    return {
        p["metadata"]["uid"]
        for p in pods
        if all(s["ready"] for s in p["status"].get("containerStatuses", [{"ready": False}]))
    }


def test_deleting_the_resource_hands_every_node_back(sentinel):
    until(sentinel, "the BufferCluster is ready", lambda: ready(sentinel))
    sentinel.kubectl("delete", "bufc", "front", "--timeout=120s")
    for node in sentinel.nodes[:2]:
        assert not xdp_on(sentinel, node)
        assert "5e17:" not in sentinel.run(node, "tc", "qdisc").stdout
        assert "sentinel" not in sentinel.run(node, "ls", "/run/sentinel/bpf").stdout
    assert not get(sentinel, "bufn")["items"]
    labels = [node["metadata"]["labels"] for node in get(sentinel, "nodes")["items"]]
    assert not any("sentinel.io/cluster" in each for each in labels)
