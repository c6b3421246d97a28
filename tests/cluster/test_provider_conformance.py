"""What every provider must do, shown on each that this machine can run (`existing` when KUBECONFIG names a cluster)."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from support.cluster import images
from support.cluster.choice import AUTOMATIC, CHECKS, Choice
from support.cluster.errors import ClusterError, Unavailable
from support.cluster.processes import wait_until
from support.cluster.provider import NAMES, Cluster, Name, node_specs

ROLES = {1: {"sentinel.test/role": "edge"}, 2: {"sentinel.test/role": "buffer"}}
NAMESPACE = "conformance"
PORT = "7001"
HOST_PORT = "7002"
PATIENCE_S = 240.0
KUBELET_PORT = 10250


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every provider that this machine can run; a borrowed cluster only where `--cluster=existing` says so."""
    if "cluster" in metafunc.fixturenames:
        wanted = metafunc.config.getoption("--cluster")
        names = [name for name in (AUTOMATIC if wanted == "auto" else (wanted,)) if refusal(name) is None]
        metafunc.parametrize("cluster", names, indirect=True, scope="module")


def refusal(provider: Name) -> str | None:
    try:
        CHECKS[provider]()
    except Unavailable as reason:
        return str(reason)
    return None


@pytest.fixture(scope="module")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    found = Choice(request.param, "conformance").start(node_specs(3, ROLES))
    try:
        yield found
    finally:
        found.close()


@pytest.fixture(scope="module")
def pods(cluster: Cluster) -> Iterator[dict[str, dict[str, Any]]]:
    """One pod of the hello image a node, by node name."""
    can(cluster.load_image, images.hello())
    cluster.kubectl("create", "namespace", NAMESPACE)
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(daemon_set("hello", PORT, host_network=False)))
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(daemon_set("hello-host", HOST_PORT, host_network=True)))
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps(service()))
    wait_until("the pods to run", lambda: len(running_pods(cluster, "hello")) == 3, PATIENCE_S, pause_s=0.3)
    found = running_pods(cluster, "hello")
    for pod in found.values():  # one that runs has not said yet that it listens
        wait_until("the pods to serve", lambda pod=pod: bool(said_by(cluster, pod)), PATIENCE_S, pause_s=0.3)
    yield found
    cluster.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def can(deed: Any, *args: Any) -> Any:
    """Skip where the provider refuses the deed by design; it must say so in words."""
    try:
        return deed(*args)
    except Unavailable as reason:
        pytest.skip(str(reason))


def daemon_set(name: str, port: str, *, host_network: bool) -> dict[str, Any]:
    container = {
        "name": name,
        "image": images.HELLO_IMAGE,
        "imagePullPolicy": "Never",
        "args": ["serve", port],
    }
    labels = {"app": name}
    spec = {"hostNetwork": host_network, "terminationGracePeriodSeconds": 1, "containers": [container]}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": spec}},
    }


def service() -> dict[str, Any]:
    ports = [{"port": 80, "targetPort": int(PORT)}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "hello", "namespace": NAMESPACE},
        "spec": {"selector": {"app": "hello"}, "ports": ports},
    }


def said_by(cluster: Cluster, pod: dict[str, Any]) -> str:
    return cluster.kubectl("-n", NAMESPACE, "logs", pod["metadata"]["name"], check=False).stdout


def running_pods(cluster: Cluster, app: str) -> dict[str, dict[str, Any]]:
    shown = cluster.kubectl("-n", NAMESPACE, "get", "pods", "-l", f"app={app}", "-o", "json")
    items = json.loads(shown.stdout)["items"]
    return {pod["spec"]["nodeName"]: pod for pod in items if pod["status"]["phase"] == "Running"}


def ask(cluster: Cluster, pod: dict[str, Any], address: str, port: str) -> subprocess.CompletedProcess[str]:
    words = ["exec", pod["metadata"]["name"], "--", "/hello", "ask", address, port]
    return cluster.kubectl("-n", NAMESPACE, *words, check=False)


def answer(cluster: Cluster, pod: dict[str, Any], address: str, port: str) -> str:
    """Who answered. Its patience is three seconds, which a busy machine takes now and then."""
    heard: list[str] = []

    def asked() -> bool:
        done = ask(cluster, pod, address, port)
        heard.append(done.stdout.strip())
        return done.returncode == 0

    wait_until(f"an answer of {address}", asked, PATIENCE_S)
    return heard[-1]


def ready(cluster: Cluster, node: str) -> bool:
    path = "{.status.conditions[?(@.type=='Ready')].status}"
    return cluster.kubectl("get", "node", node, "-o", f"jsonpath={path}").stdout == "True"


def reaches(cluster: Cluster, node: str, peer: str) -> bool:
    """A connection to the peer's kubelet, within a second: that it does is to be waited for."""
    line = f"exec 3<>/dev/tcp/{cluster.address(peer)}/{KUBELET_PORT}"
    return bool(cluster.run(node, "timeout", "1", "bash", "-c", line, check=False).returncode == 0)


@pytest.mark.parametrize("provider", NAMES)
def test_the_provider_runs_here_or_says_why_not(provider: Name) -> None:
    """A skip is the provider's own sentence; the tests below run on the others."""
    if reason := refusal(provider):
        assert reason.endswith(".")
        pytest.skip(reason)


def test_the_nodes_are_ready_and_labelled(cluster: Cluster) -> None:
    assert len(cluster.nodes) == 3
    wait_until("all to be Ready", lambda: all(ready(cluster, node) for node in cluster.nodes), PATIENCE_S)
    shown = cluster.kubectl("get", "nodes", "-l", "sentinel.test/role=edge", "-o", "name").stdout.split()
    assert shown == [f"node/{cluster.nodes[0]}"]


def test_a_loaded_image_runs_on_every_node(cluster: Cluster, pods: dict[str, dict[str, Any]]) -> None:
    assert set(pods) == set(cluster.nodes)


def test_logs_come_back(cluster: Cluster, pods: dict[str, dict[str, Any]]) -> None:
    for pod in pods.values():
        assert said_by(cluster, pod) == f"serving on port {PORT}\n"


def test_every_pod_reaches_every_pod(cluster: Cluster, pods: dict[str, dict[str, Any]]) -> None:
    for pod in pods.values():
        for peer in pods.values():
            assert answer(cluster, pod, peer["status"]["podIP"], PORT) == peer["metadata"]["name"]


def test_a_service_is_answered_by_more_than_one_pod(cluster: Cluster, pods: dict[str, dict[str, Any]]) -> None:
    find = ["get", "service", "hello", "-o", "jsonpath={.spec.clusterIP}"]
    address = cluster.kubectl("-n", NAMESPACE, *find).stdout
    asker = next(iter(pods.values()))
    answers = {answer(cluster, asker, address, "80") for _ in range(30)}
    assert len(answers) > 1
    assert answers <= {pod["metadata"]["name"] for pod in pods.values()}


def test_a_pod_on_the_host_network_has_the_nodes_address(cluster: Cluster, pods: dict[str, dict[str, Any]]) -> None:
    wait_until("the host pods", lambda: len(running_pods(cluster, "hello-host")) == 3, PATIENCE_S)
    asker = next(iter(pods.values()))
    for node, pod in running_pods(cluster, "hello-host").items():
        assert pod["status"]["podIP"] == cluster.address(node)
        assert answer(cluster, asker, cluster.address(node), HOST_PORT)


def test_the_api_is_reached_from_pods_by_its_service(cluster: Cluster, pods: dict[str, dict[str, Any]]) -> None:
    """TLS speaks only when spoken to, so the connection stays silent until patience ends: `read`, not `connect`."""
    find = ["-n", "default", "get", "service", "kubernetes", "-o", "jsonpath={.spec.clusterIP}"]
    address, asker = cluster.kubectl(*find).stdout, next(iter(pods.values()))
    wait_until("silence", lambda: ask(cluster, asker, address, "443").stderr.startswith("read"), PATIENCE_S)


def test_a_command_runs_in_the_nodes_own_namespaces(cluster: Cluster) -> None:
    for node in cluster.nodes:
        shown = can(cluster.run, node, "ip", "-json", "-4", "address", "show", "dev", "eth0").stdout
        addresses = [one["local"] for link in json.loads(shown) for one in link["addr_info"]]
        assert addresses == [cluster.address(node)]


def test_files_of_one_nodes_run_are_unknown_to_the_others(cluster: Cluster) -> None:
    one, other, _ = cluster.nodes
    can(cluster.run, one, "touch", "/run/only-here")
    assert cluster.run(other, "test", "-e", "/run/only-here", check=False).returncode != 0


def test_a_node_cut_off_is_silent_until_it_is_healed(cluster: Cluster) -> None:
    one, other, third = cluster.nodes
    can(cluster.cut, one)
    try:
        assert not reaches(cluster, one, other)
        assert not reaches(cluster, other, one)
        wait_until("the others' link", lambda: reaches(cluster, other, third), PATIENCE_S)
        assert cluster.run(one, "cat", "/sys/class/net/eth0/carrier").stdout.strip() == "1"
    finally:
        cluster.heal(one)
    wait_until("the healed link", lambda: reaches(cluster, one, other), PATIENCE_S)


def test_a_cut_between_two_spares_the_third(cluster: Cluster) -> None:
    one, other, third = cluster.nodes
    can(cluster.cut, one, other)
    try:
        assert not reaches(cluster, one, other)
        assert not reaches(cluster, other, one)
        for each in (one, other):
            wait_until("the third's links", lambda each=each: reaches(cluster, each, third), PATIENCE_S)
    finally:
        cluster.heal(one, other)
    wait_until("the healed link", lambda: reaches(cluster, one, other), PATIENCE_S)


def test_pods_live_on_while_their_kubelet_is_dead(cluster: Cluster, pods: dict[str, dict[str, Any]]) -> None:
    victim, witness, _ = cluster.nodes
    can(cluster.kill_kubelet, victim)
    try:
        wait_until("the node to be missed", lambda: not ready(cluster, victim), PATIENCE_S, pause_s=0.5)
        there = pods[victim]["status"]["podIP"]
        assert answer(cluster, pods[witness], there, PORT) == pods[victim]["metadata"]["name"]
    finally:
        cluster.start_kubelet(victim)
    wait_until("the node to be Ready again", lambda: ready(cluster, victim), PATIENCE_S, pause_s=0.5)


def test_a_kubelet_stops_when_told(cluster: Cluster) -> None:
    node = cluster.nodes[2]
    can(cluster.stop_kubelet, node)
    try:
        assert not reaches(cluster, cluster.nodes[0], node)
    finally:
        cluster.start_kubelet(node)
    wait_until("the kubelet", lambda: reaches(cluster, cluster.nodes[0], node), PATIENCE_S)


def test_the_api_server_dies_and_comes_back(cluster: Cluster) -> None:
    can(cluster.kill, "apiserver")
    try:
        assert cluster.kubectl("get", "--raw=/readyz", "--request-timeout=2s", check=False).returncode != 0
    finally:
        cluster.start("apiserver")
    answers = ["get", "--raw=/readyz"]
    wait_until("the API server", lambda: cluster.kubectl(*answers, check=False).stdout == "ok", PATIENCE_S)


def test_controllers_stop_and_start(cluster: Cluster) -> None:
    """Without the controller-manager a new namespace gets no service account; with it, it does."""
    can(cluster.stop, "controller-manager")
    try:
        cluster.kubectl("create", "namespace", "unborn")
        missing = cluster.kubectl("-n", "unborn", "get", "serviceaccount", "default", check=False)
        assert missing.returncode != 0
    finally:
        cluster.start("controller-manager")
    find = ["-n", "unborn", "get", "serviceaccount", "default"]
    wait_until("the account", lambda: cluster.kubectl(*find, check=False).returncode == 0, PATIENCE_S, pause_s=0.3)
    cluster.kubectl("delete", "namespace", "unborn", "--wait=false")


def test_an_unknown_node_is_named_in_the_refusal(cluster: Cluster) -> None:
    can(cluster.run, cluster.nodes[0], "true")
    with pytest.raises(ClusterError, match="There is no node 'nowhere'"):
        cluster.run("nowhere", "true")


def test_a_file_that_is_no_image_is_refused_by_name(cluster: Cluster, tmp_path: Any) -> None:
    broken = tmp_path / "broken.tar"
    broken.write_bytes(b"no image")
    can(cluster.run, cluster.nodes[0], "true")
    with pytest.raises(ClusterError, match=r"broken\.tar is no image"):
        cluster.load_image(broken)
