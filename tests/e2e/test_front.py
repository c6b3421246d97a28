"""The whole front: an address for a Service, balancers and buffer nodes before real pods, and what faults cost them."""

import contextlib
import ipaddress
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support import shipped
from support.cluster.provider import Cluster
from support.front import BUFFERS, EDGES, NODES, PORT, address_of, front, shop, tried
from support.http_load import Load, load

OUT = Path(__file__).resolve().parents[2] / "out/e2e"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1500)]


@pytest.fixture(scope="module")
def cluster(new_cluster) -> Cluster:
    """The chart with a mesh, two edge nodes, two buffer nodes with a pod each, and a BufferCluster with addresses."""
    made = new_cluster(NODES)
    for image in shipped.build_images():
        made.load_image(image)
    shipped.install(made, operator__replicas="2", mesh__port="7447")
    made.kubectl("apply", "-f", "-", stdin=shop())
    around = ipaddress.ip_network(f"{made.address(EDGES[0])}/24", strict=False)
    made.kubectl("apply", "-f", "-", stdin=front(f"{around[200]}/30"))
    shipped.until(made, "the BufferCluster is ready", lambda: shipped.ready(made))
    return made


@pytest.fixture(scope="module")
def vip(cluster) -> str:
    shipped.until(cluster, "the Service has an address", lambda: bool(address_of(cluster)))
    address = address_of(cluster)
    shipped.until(cluster, "both pods answer through the address", lambda: whole(cluster, address))
    return address


def whole(cluster: Cluster, address: str) -> bool:
    """Everybody works, and every request is answered, by either node."""
    if not shipped.ready(cluster) or any(
        len(shipped.running_pods(cluster, each)) < 2 for each in ("agent", "balancer")
    ):
        return False
    asked = tried(address)
    return asked.fresh.failed == 0 and asked.fresh.by.keys() == set(BUFFERS)


def test_requests_reach_the_pods_through_the_balancers_and_both_nodes_take_part(vip):
    asked = tried(vip, seconds=5)
    assert (asked.fresh.failed, asked.kept.failed) == (0, 0)
    assert asked.fresh.by.keys() == set(BUFFERS)


@dataclass(frozen=True)
class Fault:
    """`lossless`: no request may fail while it lasts, nor any connection break."""

    name: str
    blow: Callable[[Cluster, str], None]
    mend: Callable[[Cluster], None] = lambda _: None
    lasts_s: float = 0.0
    lossless: bool = True


def delete_one(component: str) -> Callable[[Cluster, str], None]:
    def blow(cluster: Cluster, _: str) -> None:
        pod = sorted(
            each["metadata"]["name"]
            for each in shipped.items(cluster, "pods", "-l", f"app.kubernetes.io/component={component}")
        )[0]
        cluster.kubectl("delete", "pod", pod, "--wait=false")

    return blow


def delete_leader(cluster: Cluster, _: str) -> None:
    (lease,) = [
        each["spec"]["holderIdentity"]
        for each in shipped.items(cluster, "leases", "-n", shipped.SYSTEM)
        if "sentinel" in each["metadata"]["name"]
    ]
    pods = [each["metadata"]["name"] for each in shipped.items(cluster, "pods", "-n", shipped.SYSTEM)]
    (leader,) = [name for name in pods if name in lease]
    cluster.kubectl("delete", "pod", "-n", shipped.SYSTEM, leader, "--wait=false")


def speaker(cluster: Cluster, address: str) -> str:
    """The edge node that carries the address now."""
    return next(node for node in EDGES if address in cluster.run(node, "ip", "-o", "addr").stdout)


def cut_speaker(cluster: Cluster, address: str) -> None:
    cluster.cut(speaker(cluster, address))


def heal_edges(cluster: Cluster) -> None:
    for node in EDGES:
        cluster.heal(node)


FAULTS = (
    Fault("an agent's pod is deleted", delete_one("agent")),
    Fault("the leading operator is deleted", delete_leader),
    Fault("a balancer's pod is deleted", delete_one("balancer"), lossless=False),
    Fault(
        "a buffer node's kubelet is killed for 10 s",
        lambda cluster, _: cluster.kill_kubelet(BUFFERS[0]),
        lambda cluster: cluster.start_kubelet(BUFFERS[0]),
        10,
    ),
    Fault(
        "the API server is away for 60 s",
        lambda cluster, _: cluster.stop("apiserver"),
        lambda cluster: cluster.start("apiserver"),
        60,
    ),
    Fault("etcd starts again", lambda cluster, _: cluster.stop("etcd"), lambda cluster: cluster.start("etcd"), 1),
    Fault(
        "a buffer node's link is cut for 5 s",
        lambda cluster, _: cluster.cut(BUFFERS[0]),
        lambda cluster: cluster.heal(BUFFERS[0]),
        5,
        lossless=False,
    ),
    Fault("the speaking edge node's link is cut for 5 s", cut_speaker, heal_edges, 5, lossless=False),
)


@pytest.fixture(scope="module")
def table() -> Iterator[list[dict]]:
    """What each fault cost; written for people even when a later one fails."""
    rows: list[dict] = []
    yield rows
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "faults.json").write_text(json.dumps(rows, indent=1))
    head = ["fault", "requests", "failed", "connections broken", "longest outage, ms"]
    lines = [head, ["---"] * len(head), *([str(value) for value in row.values()] for row in rows)]
    (OUT / "faults.md").write_text("".join(f"| {' | '.join(line)} |\n" for line in lines))


def row_of(name: str, asked: Load) -> dict:
    return {
        "fault": name,
        "requests": asked.fresh.answered + asked.kept.answered,
        "failed": asked.fresh.failed + asked.kept.failed,
        "broken": asked.broken,
        "outage_ms": round(1000 * max(asked.fresh.outage_s, asked.kept.outage_s)),
    }


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name.replace(" ", "-"))
def test_a_fault_ends_and_all_is_as_before(cluster, vip, table, fault):
    with load(vip, PORT) as asked, contextlib.ExitStack() as mended:
        time.sleep(2)
        mended.callback(fault.mend, cluster)
        fault.blow(cluster, vip)
        time.sleep(fault.lasts_s)
        mended.close()
        shipped.until(cluster, f"everybody works after: {fault.name}", lambda: whole(cluster, vip))
    table.append(row_of(fault.name, asked))
    if fault.lossless:
        assert (asked.fresh.failed, asked.kept.failed, asked.broken) == (0, 0, 0)
