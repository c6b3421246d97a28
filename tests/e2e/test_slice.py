"""The thinnest whole: helm install, the ten-line resource, agents with real XDP on real kubelets, and nothing left."""

import json
import tarfile
import zlib
from pathlib import Path

import pytest

from support.cluster.provider import Cluster, NodeSpec
from support.load import figure
from support.shipped import build_images, install, items, ready, running_pods, until, xdp_on

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "deploy/examples/buffercluster.yaml"
BUFFER = {"sentinel.io/role": "buffer"}
NODES = (NodeSpec("node1", BUFFER), NodeSpec("node2", BUFFER), NodeSpec("node3"))
SBOM = "usr/share/sentinel/sbom.cdx.json"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


@pytest.fixture(scope="module")
def images() -> tuple[Path, ...]:
    """The images as users get them: from the Dockerfiles."""
    return build_images()


@pytest.fixture(scope="module")
def sentinel(new_cluster, images) -> Cluster:
    """A cluster with the chart installed."""
    cluster = new_cluster(NODES)
    for image in images:
        cluster.load_image(image)
    install(cluster, operator__replicas="1")
    return cluster


def stands(cluster: Cluster) -> None:
    """Applied by whichever test comes first."""
    cluster.kubectl("apply", "-f", str(EXAMPLE))
    until(cluster, "the BufferCluster is ready", lambda: ready(cluster))


def test_ten_lines_make_a_ready_cluster_with_programs_and_queues_on_its_nodes_alone(sentinel):
    stands(sentinel)
    first, second, spare = sentinel.nodes
    assert [xdp_on(sentinel, node) for node in (first, second, spare)] == [True, True, False]
    until(sentinel, "both nodes foresee", lambda: [len(each) for each in foreseen(sentinel).values()] == [4, 4])
    nodes = {item["metadata"]["name"]: item["status"] for item in items(sentinel, "bufn")}
    assert nodes.keys() == {first, second}
    assert {status["dataPlane"]["tier"] for status in nodes.values()} == {"B"}
    assert "htb 5e17:" in sentinel.run(first, "tc", "qdisc").stdout


def foreseen(cluster: Cluster) -> dict[str, list]:
    """The points of each node's forecast, which may come a report later than its first word."""
    found = {item["metadata"]["name"]: item.get("status", {}) for item in items(cluster, "bufn")}
    return {name: status.get("forecast", {}).get("points", []) for name, status in found.items()}


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


@pytest.mark.parametrize(("index", "most_mb"), [(0, 60), (1, 90)], ids=["operator", "agent"])
def test_no_image_adds_more_to_its_base_than_was_promised(images, index, most_mb):
    """Compressed, as registries keep and nodes fetch it; the base is what both have in common."""
    base, *_ = (each for each in layers(images[0]) if each in layers(images[1]))
    with tarfile.open(images[index]) as whole:
        own = [whole.extractfile(each).read() for each in layers(images[index]) if each != base]
    size_mb = sum(len(zlib.compress(each)) for each in own) / 1e6
    figure(f"{images[index].stem} without its base", megabytes=size_mb)
    assert size_mb <= most_mb


def layers(image: Path) -> list[str]:
    with tarfile.open(image) as whole:
        return json.load(whole.extractfile("manifest.json"))[0]["Layers"]


def test_an_agent_that_is_replaced_takes_over_what_is_there(sentinel):
    stands(sentinel)
    before = running_pods(sentinel, "agent")
    sentinel.kubectl("delete", "pod", "-l", "app.kubernetes.io/component=agent", "--wait=true")
    fresh = lambda: running_pods(sentinel, "agent") - before  # noqa: E731
    until(sentinel, "new agents work", lambda: len(fresh()) == 2)
    assert xdp_on(sentinel, sentinel.nodes[0])


def test_deleting_the_resource_hands_every_node_back(sentinel):
    stands(sentinel)
    sentinel.kubectl("delete", "bufc", "front", "--timeout=240s")
    for node in sentinel.nodes[:2]:
        assert not xdp_on(sentinel, node)
        assert "5e17:" not in sentinel.run(node, "tc", "qdisc").stdout
        assert "sentinel" not in sentinel.run(node, "ls", "/run/sentinel/bpf").stdout
    assert not items(sentinel, "bufn")
    labels = [node["metadata"]["labels"] for node in items(sentinel, "nodes")]
    assert not any("sentinel.io/cluster" in each for each in labels)
