"""The whole front: an address for a Service, balancers and buffer nodes before real pods, and what faults cost them."""

import base64
import hashlib
import http.client
import ipaddress
import json
import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from statistics import mean, median

import pytest

from support import shipped
from support.cluster.native import PASSING
from support.cluster.provider import Cluster
from support.front import (
    BUFFERS,
    EDGES,
    PORT,
    ROLE,
    SPARE,
    address_of,
    all_run,
    another,
    front,
    tried,
    whole,
)
from support.front_bursts import bursting, feeding, settle
from support.front_faults import FAULTS, befall, row_of, write
from support.front_mesh import ROUTERS, all_hear_all, rolled, zoned
from support.http_load import load

BULK_BYTES = 10_000_000
LEARN_S = 90.0  # nine bursts
LONG_PATH = "/" + "x" * 4000  # so that clients bring the demand, and not the pods' answers
LOST_OF = 1000  # of so many requests one may fail while nodes come and go: six nodes share two CPUs here
NODE_CAPACITY = 250_000  # bytes per second: three nodes carry the short requests, and not the long ones
OUT = Path(__file__).resolve().parents[2] / "out/e2e"

pytestmark = [pytest.mark.apart, pytest.mark.timeout(1500)]


def test_requests_reach_the_pods_through_the_balancers_and_every_node_takes_part(vip):
    asked = tried(vip, seconds=5)
    assert (asked.fresh.failed, asked.kept.failed) == (0, 0)
    assert asked.fresh.by.keys() == set(BUFFERS)


def test_what_clients_send_in_bulk_arrives_whole(vip):
    """At once and by way of every node: many packets to a connection, and each of full size before its tunnel."""
    bodies = [random.Random(seed).randbytes(BULK_BYTES) for seed in range(3 * len(BUFFERS))]
    with ThreadPoolExecutor(len(bodies)) as clients:
        told = list(clients.map(lambda body: posted(vip, body), bodies))
    assert told == [hashlib.sha256(body).hexdigest() for body in bodies]


def posted(address: str, body: bytes) -> str:
    """What the pod made of it."""
    connection = http.client.HTTPConnection(address, PORT, timeout=120)
    connection.request("POST", "/", body)
    answer = connection.getresponse().read().decode()
    connection.close()
    return answer


@pytest.fixture(scope="module")
def table() -> Iterator[list[dict]]:
    """What each fault cost; written for people even when a later one fails."""
    rows: list[dict] = []
    yield rows
    write(OUT, "faults", rows)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name.replace(" ", "-"))
def test_a_fault_ends_and_all_is_as_before(stage, vip, table, fault):
    row = befall(stage, vip, fault)
    table.append(row)
    if fault.lossless:
        assert row["why"] == []


def test_a_balancers_and_agents_release_changes_under_traffic_and_back(stage, vip, table):
    """The same code under another tag: what is tried is the exchange, not what a new version would bring."""
    for tag in ("next", "dev"):
        for node in stage.nodes:
            for image in (shipped.AGENT_IMAGE, shipped.OPERATOR_IMAGE):
                names = (f"{image}:dev", f"{image}:next")
                stage.run(node, "ctr", "-n", "k8s.io", "images", "tag", "--force", *names)
        with load(vip, PORT) as asked:
            shipped.install(stage, operator__replicas="2", image__tag=tag)
            shipped.until(stage, f"everybody runs {tag}", lambda tag=tag: all_run(stage, tag))
            shipped.until(stage, f"everybody works as {tag}", lambda: whole(stage, vip))
        table.append(row_of(f"the release changes to {tag}", asked))
        assert asked.why == []


def test_addresses_that_run_out_are_refused_and_given_when_one_is_free(stage, vip):
    for number in range(4):
        stage.kubectl("apply", "-f", "-", stdin=another(f"more{number}"))
    names = [f"more{number}" for number in range(4)]
    shipped.until(
        stage,
        "three have an address",
        lambda: sum(bool(address_of(stage, each)) for each in names) == 3,
    )
    (late,) = [each for each in names if not address_of(stage, each)]
    shipped.until(stage, "the fourth is told", lambda: "PoolExhausted" in told(stage, late))
    assert shipped.condition(stage, "LoadBalancerReady") == "False/ServiceRefused"
    (early, *_) = [each for each in names if each != late]
    stage.kubectl("delete", "svc", early)
    shipped.until(stage, "what became free is given on", lambda: bool(address_of(stage, late)))
    stage.kubectl("delete", "svc", *(each for each in names if each != early))
    assert tried(vip).fresh.failed == 0


def told(cluster: Cluster, service: str) -> list[str]:
    conditions = (shipped.get(cluster, "svc", service) or {}).get("status", {}).get("conditions", [])
    return [each["reason"] for each in conditions]


def test_a_second_cluster_on_the_same_nodes_is_refused_and_the_first_goes_on(stage, vip):
    body = json.loads(front("192.0.2.0/30"))
    body["metadata"]["name"] = "late"
    stage.kubectl("apply", "-f", "-", stdin=json.dumps(body))
    shipped.until(
        stage,
        "it says whose the nodes are",
        lambda: shipped.condition(stage, name="late") == "False/NodesTaken",
    )
    assert shipped.ready(stage)
    stage.kubectl("delete", "bufc", "late", "--timeout=120s")
    assert tried(vip).fresh.failed == 0


def test_a_model_that_is_not_what_was_asked_for_moves_no_node_and_no_request(stage, vip):
    bad = {"spec": {"model": {"ref": "/models/none.onnx", "digest": f"sha256:{'0' * 64}"}}}
    with load(vip, PORT) as asked:
        stage.kubectl("patch", "bufc", "front", "--type=merge", "-p", json.dumps(bad))
        shipped.until(stage, "a node refuses the model", lambda: "ModelRefused" in reasons_of_nodes(stage))
        stage.kubectl("patch", "bufc", "front", "--type=merge", "-p", json.dumps({"spec": {"model": None}}))
        shipped.until(stage, "all have their model again", lambda: "ModelRefused" not in reasons_of_nodes(stage))
        shipped.until(stage, "everybody works", lambda: whole(stage, vip))
    assert asked.why == []


def test_an_image_that_is_nowhere_is_named_and_stops_at_one_node(stage, vip):
    with load(vip, PORT) as asked:
        stage.kubectl("patch", "bufc", "front", "--type=merge", "-p", json.dumps(agent_image("sentinel.test/none:1")))
        shipped.until(stage, "it is told what a pod waits for", lambda: "ErrImageNeverPull" in progress(stage))
        assert len(shipped.running_pods(stage, "agent")) == len(BUFFERS) - 1
        stage.kubectl("patch", "bufc", "front", "--type=merge", "-p", json.dumps(agent_image(None)))
        shipped.until(stage, "everybody works", lambda: whole(stage, vip))
    assert asked.why == []


def agent_image(name: str | None) -> dict:
    return {"spec": {"agent": {"image": name}}}


def progress(cluster: Cluster) -> str:
    found = (shipped.get(cluster, "bufc", "front") or {})["status"]["conditions"]
    return next(each["message"] for each in found if each["type"] == "Progressing")


def reasons_of_nodes(cluster: Cluster) -> set[str]:
    nodes = shipped.items(cluster, "bufn")
    return {each["reason"] for node in nodes for each in node.get("status", {}).get("conditions", [])}


def test_a_node_with_a_foreign_program_only_observes_and_keeps_it(stage, vip):
    program = base64.b64encode(PASSING.read_bytes()).decode()
    stage.run(SPARE, "sh", "-c", "base64 -d > /run/foreign.o", stdin=program)
    stage.run(SPARE, "ip", "link", "set", "eth0", "xdp", "obj", "/run/foreign.o", "sec", "xdp")
    foreign = stage.run(SPARE, "ip", "link", "show", "eth0").stdout.partition("prog/xdp")[2].split()[:2]
    stage.kubectl("label", "node", SPARE, f"{ROLE}=buffer")
    tier = lambda: (shipped.get(stage, "bufn", SPARE) or {}).get("status", {}).get("dataPlane", {}).get("tier")  # noqa: E731
    shipped.until(stage, "its agent says that it observes only", lambda: tier() == "C")
    stage.kubectl("label", "node", SPARE, f"{ROLE}-")
    shipped.until(stage, "its orders are gone", lambda: shipped.get(stage, "bufn", SPARE) is None)
    assert stage.run(SPARE, "ip", "link", "show", "eth0").stdout.partition("prog/xdp")[2].split()[:2] == foreign
    stage.run(SPARE, "ip", "link", "set", "eth0", "xdp", "off")
    shipped.until(stage, "everybody works", lambda: whole(stage, vip))


def test_a_spare_node_joins_under_rising_demand_and_leaves_and_hardly_a_request_fails(stage, vip, table):
    """The clients' own demand moves it; they renew their connections, as a node that leaves keeps none for ever."""
    scaling = {
        "mode": "Auto",
        "min": len(BUFFERS),
        "max": len(BUFFERS) + 1,
        "intervalSeconds": 2,
        "nodeCapacityBytesPerSecond": NODE_CAPACITY,
        "scaleDown": {"stabilisationSeconds": 20},
    }
    grows = {"spec": {"scaling": scaling, "loadBalancer": {"drainSeconds": 20}}}
    stage.kubectl("patch", "bufc", "front", "--type=merge", "-p", json.dumps(grows))
    with load(vip, PORT, kept_for_s=5) as asked:
        with load(vip, PORT, path=LONG_PATH, kept_for_s=5) as more:
            shipped.until(stage, "the spare node works and answers", lambda: SPARE in tried(vip).fresh.by)
        table.append(row_of("a spare node joins", more))
        shipped.until(stage, "it is spare again", lambda: role_of(stage, SPARE) == "", 2 * shipped.PATIENCE_S)
        shipped.until(stage, "its orders are gone", lambda: shipped.get(stage, "bufn", SPARE) is None)
        assert leftovers(stage, SPARE) == ""
        shipped.until(stage, "everybody works", lambda: whole(stage, vip))
    table.append(row_of("it joins, drains and leaves", asked))
    (OUT / "operators.log").write_text(words_of_operators(stage))
    (OUT / "balancers.log").write_text(words_of_balancers(stage))
    stage.kubectl("patch", "bufc", "front", "--type=merge", "-p", json.dumps({"spec": {"scaling": {"mode": "Off"}}}))
    answered = sum(each.fresh.answered + each.kept.answered for each in (more, asked))
    assert LOST_OF * len(more.why + asked.why) <= answered, more.why + asked.why


def test_a_forecast_makes_room_before_the_burst_and_no_more_is_dropped_than_without(stage, vip):
    """The same bursts through the address all the time: at first nothing that is foretold is acted on, then it is.

    Where the pool is free the rule that only reacts drops nothing either: it remembers how much comes at once. Where
    foresight saves packets is for `sentinel bench burst` to show."""
    usual = (shipped.get(stage, "bufc", "front") or {})["spec"]
    feeding(stage, min_events=1000)
    with bursting(stage, vip, seconds=600) as feed:
        learns = time.monotonic() + LEARN_S
        shipped.until(stage, "bursts were foretold", lambda: hits(stage) > 3 and time.monotonic() > learns)
        reactive = feed.bursts(learns - LEARN_S / 2, time.monotonic())
        feeding(stage, min_events=3)
        shipped.until(stage, "forecasts are acted on", lambda: trusted(stage))
        begins = time.monotonic()
        time.sleep(LEARN_S / 2)
        foretold = feed.bursts(begins, time.monotonic())
    OUT.mkdir(parents=True, exist_ok=True)
    rows = {"reactive": [asdict(each) for each in reactive], "foretold": [asdict(each) for each in foretold]}
    rows |= {"looks": [asdict(each) for each in feed.looks]}
    (OUT / "bursts.json").write_text(json.dumps(rows, indent=1))
    settle(stage, {name: usual.get(name) for name in ("trafficClasses", "dataPlane", "model", "pool")})
    assert median(each.room for each in foretold) > 2 * median(each.room for each in reactive)
    assert mean(each.dropped for each in foretold) <= mean(each.dropped for each in reactive)


def hits(cluster: Cluster) -> int:
    return sum(each["status"]["scores"].get("hits", 0) for each in shipped.items(cluster, "bufn"))


def trusted(cluster: Cluster) -> bool:
    return any(each["status"]["scores"]["trusted"] for each in shipped.items(cluster, "bufn"))


def role_of(cluster: Cluster, node: str) -> str:
    return (shipped.get(cluster, "node", node) or {})["metadata"]["labels"].get(ROLE, "")


def test_a_cluster_of_another_namespace_lives_beside_it(stage, vip):
    """On a node of its own, which it hands back alone; the first one says which nodes are not for others."""
    for node in BUFFERS:
        stage.kubectl("label", "node", node, "team=shop")
    settle(stage, {"agent": {"nodeSelector": {"team": "shop"}}})
    own = {"nodes": 1, "agent": {"imagePullPolicy": "Never", "nodeSelector": {"team": "other"}}}
    body = json.loads(front("192.0.2.0/30"))
    body["metadata"] = {"name": "front", "namespace": "other"}
    body["spec"] = own
    stage.kubectl("create", "namespace", "other")
    stage.kubectl("label", "node", SPARE, f"{ROLE}=buffer", "team=other")
    stage.kubectl("apply", "-f", "-", stdin=json.dumps(body))
    shipped.until(stage, "both are ready", lambda: shipped.ready(stage, namespace="other") and shipped.ready(stage))
    holders = {
        each["metadata"]["name"]: each["spec"]["clusterRef"]["namespace"] for each in shipped.items(stage, "bufn")
    }
    assert holders == {SPARE: "other"} | dict.fromkeys(BUFFERS, "default")
    assert shipped.xdp_on(stage, SPARE)
    assert tried(vip).fresh.by.keys() >= set(BUFFERS)
    stage.kubectl("delete", "bufc", "front", "-n", "other", "--timeout=120s")
    assert leftovers(stage, SPARE) == ""
    stage.kubectl("label", "node", SPARE, f"{ROLE}-", "team-")
    stage.kubectl("delete", "namespace", "other", "--timeout=120s")
    settle(stage, {"agent": {"nodeSelector": {"team": None}}})
    shipped.until(stage, "everybody works", lambda: whole(stage, vip))


def test_in_zones_the_mesh_meets_at_routers_and_no_request_fails_when_one_goes(stage, vip, table):
    """So few nodes hear each other over all zones."""
    zoned(stage)
    for zones in ("true", "false"):
        agents, balancers = shipped.running_pods(stage, "agent"), shipped.running_pods(stage, "balancer")
        with load(vip, PORT) as asked:
            shipped.install(stage, operator__replicas="2", mesh__zones=zones)
            shipped.until(stage, "all are new", lambda old=(agents, balancers): rolled(stage, *old))
            shipped.until(stage, "everybody hears everybody", lambda: all_hear_all(stage))
            routers = routers_now(stage)
            if zones == "true":
                assert len(routers) == ROUTERS
                stage.kubectl("delete", "pods", "-l", "app.kubernetes.io/component=router,sentinel.io/router=east-0")
                shipped.until(stage, "another is there", lambda old=routers: len(routers_now(stage) | old) > ROUTERS)
                shipped.until(stage, "all hear all again", lambda: all_hear_all(stage))
            shipped.until(stage, "everybody works", lambda: whole(stage, vip))
        table.append(row_of(f"zones of the mesh: {zones}", asked))
        assert asked.why == []
    shipped.until(stage, "no router is left", lambda: not routers_now(stage))


def routers_now(cluster: Cluster) -> set[str]:
    return shipped.running_pods(cluster, "router")


def test_nothing_is_left_when_it_is_removed(stage, vip):
    stage.kubectl("delete", "bufc", "front", "--timeout=180s")
    shipped.helm(stage, "uninstall", shipped.RELEASE, "-n", shipped.SYSTEM, "--wait", "--timeout=120s")
    left = {node: leftovers(stage, node) for node in stage.nodes}
    assert left == dict.fromkeys(stage.nodes, "")
    assert not shipped.items(stage, "bufn")
    ours = ("pods", "-A", "-l", "app.kubernetes.io/managed-by=sentinel-operator")
    shipped.until(stage, "pods that were told to end are gone", lambda: not shipped.items(stage, *ours))
    for node in shipped.items(stage, "nodes"):
        assert "sentinel.io/cluster" not in node["metadata"]["labels"]
    service = shipped.get(stage, "svc", "shop")
    assert "finalizers" not in service["metadata"]


def leftovers(cluster: Cluster, node: str) -> str:
    """Programs, queues, addresses and pins of ours that are still there."""
    link = cluster.run(node, "ip", "-d", "link", "show", "dev", "eth0").stdout
    found = ["a program"] if "prog/xdp" in link else []
    found += ["a queue"] if "5e17:" in cluster.run(node, "tc", "qdisc").stdout else []
    pins = cluster.run(node, "ls", "/run/sentinel/bpf").stdout  # the kernel has entries of its own there, and ip too
    found += ["a pin"] if "sentinel" in pins else []
    addresses = cluster.run(node, "ip", "-o", "-4", "addr", "show", "dev", "eth0").stdout
    return ", ".join(found + (["an address"] if len(addresses.splitlines()) > 1 else []))


def test_it_comes_again_and_says_what_it_lacks(stage):
    """After the removal: first without the definitions that helm keeps, then with them."""
    stage.kubectl("delete", "crd", "bufferclusters.sentinel.io", "buffernodes.sentinel.io", "--timeout=60s")
    shipped.install(stage, "--skip-crds")
    shipped.until(stage, "the operator says it", lambda: "install the CRDs first" in words_of_operators(stage))
    stage.kubectl("apply", "--server-side", "-f", str(shipped.ROOT / "crds"))
    stage.kubectl("wait", "--for=condition=Established", "crd/bufferclusters.sentinel.io", "--timeout=60s")
    around = ipaddress.ip_network(f"{stage.address(EDGES[0])}/24", strict=False)
    stage.kubectl("apply", "-f", "-", stdin=front(f"{around[200]}/30"))
    shipped.until(stage, "it is ready again", lambda: shipped.ready(stage))
    stage.kubectl("delete", "bufc", "front", "--timeout=180s")


def words_of_operators(cluster: Cluster) -> str:
    chosen = ("-l", "app.kubernetes.io/name=sentinel-operator", "--tail=1000", "--prefix")
    return cluster.kubectl("logs", "-n", shipped.SYSTEM, *chosen, check=False).stdout


def words_of_balancers(cluster: Cluster) -> str:
    chosen = ("-l", "app.kubernetes.io/component=balancer", "--tail=1000", "--prefix")
    return cluster.kubectl("logs", *chosen, check=False).stdout
