"""What can befall a front, how it is brought about and mended, and whether anybody may notice."""

import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from support import shipped
from support.cluster.provider import Cluster
from support.front import BUFFERS, EDGES, PORT, whole
from support.http_load import Load, load


@dataclass(frozen=True)
class Fault:
    """`lossless`: no request may fail while it lasts, nor any connection break."""

    name: str
    blow: Callable[[Cluster, str], None]
    mend: Callable[[Cluster], None] = lambda _: None
    lasts_s: float = 0.0
    lossless: bool = True


def delete_one(labels: str) -> Callable[[Cluster, str], None]:
    def blow(cluster: Cluster, _: str) -> None:
        pod = min(shipped.items(cluster, "pods", "-l", labels), key=lambda each: each["metadata"]["name"])
        delete(cluster, pod)

    return blow


def delete_leader(cluster: Cluster, _: str) -> None:
    shipped.until(cluster, "an operator leads", lambda: bool(leaders(cluster)))
    (leader,) = leaders(cluster)
    delete(cluster, leader)


def leaders(cluster: Cluster) -> list[dict]:
    """The pod that holds the Lease; one that was deleted may still stand in it, and then nobody leads."""
    leases = shipped.items(cluster, "leases", "-n", shipped.SYSTEM)
    holders = {each["spec"]["holderIdentity"] for each in leases if "sentinel" in each["metadata"]["name"]}
    pods = shipped.items(cluster, "pods", "-n", shipped.SYSTEM)
    return [each for each in pods if any(each["metadata"]["name"] in holder for holder in holders)]


def delete(cluster: Cluster, pod: dict) -> None:
    """Until it is gone: a kubelet that lost the API server a while ago may let it serve for a minute more, and what
    breaks with it then is this fault's doing and not the next one's."""
    name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
    cluster.kubectl("delete", "pod", "-n", namespace, name, "--wait=false")
    shipped.until(cluster, f"{name} is gone", lambda: shipped.get(cluster, "pod", name, "-n", namespace) is None)


def start_kubelet(cluster: Cluster) -> None:
    """Until it is heard: it may call its pods unready for a moment then, and its node refuses what is new meanwhile."""
    heard = lambda: (shipped.get(cluster, "lease", BUFFERS[0], "-n", "kube-node-lease") or {})["spec"]["renewTime"]  # noqa: E731
    before = heard()
    cluster.start_kubelet(BUFFERS[0])
    shipped.until(cluster, f"the kubelet of {BUFFERS[0]} is heard", lambda: heard() != before)


def stall_proxy(cluster: Cluster, _: str) -> None:
    """Its kube-proxy hears nothing while the node's pod is exchanged, as after an absence of the API server."""
    cluster.run(BUFFERS[0], "pkill", "-STOP", "-x", "kube-proxy")
    pods = shipped.items(cluster, "pods", "-l", "app=shop")
    delete(cluster, next(each for each in pods if each["spec"]["nodeName"] == BUFFERS[0]))


def speaker(cluster: Cluster, address: str) -> str:
    """The edge node that carries the address now."""
    return next(node for node in EDGES if address in cluster.run(node, "ip", "-o", "addr").stdout)


def cut_speaker(cluster: Cluster, address: str) -> None:
    cluster.cut(speaker(cluster, address))


def heal_edges(cluster: Cluster) -> None:
    for node in EDGES:
        cluster.heal(node)


COLUMNS = ("fault", "requests", "failed", "broken", "outage_ms")
WHY = 20  # reasons that a row keeps

FAULTS = (
    Fault("an agent's pod is deleted", delete_one("app.kubernetes.io/component=agent")),
    Fault("the leading operator is deleted", delete_leader),
    Fault("a balancer's pod is deleted", delete_one("app.kubernetes.io/component=balancer"), lossless=False),
    Fault("a pod of the Service is deleted", delete_one("app=shop"), lossless=False),
    Fault(
        "a pod is exchanged while its node's kube-proxy stands still for 15 s",
        stall_proxy,
        lambda cluster: cluster.run(BUFFERS[0], "pkill", "-CONT", "-x", "kube-proxy"),
        15,
        lossless=False,
    ),
    Fault(
        "a buffer node's kubelet is killed for 10 s",
        lambda cluster, _: cluster.kill_kubelet(BUFFERS[0]),
        start_kubelet,
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


def befall(cluster: Cluster, address: str, fault: Fault) -> dict:
    """Under load from before until all is as it was; what clients met."""
    with load(address, PORT) as asked, contextlib.ExitStack() as mended:
        time.sleep(2)
        mended.callback(fault.mend, cluster)
        fault.blow(cluster, address)
        time.sleep(fault.lasts_s)
        mended.close()
        shipped.until(cluster, f"everybody works after: {fault.name}", lambda: whole(cluster, address))
    return row_of(fault.name, asked)


def row_of(name: str, asked: Load) -> dict:
    return {
        "fault": name,
        "requests": asked.fresh.answered + asked.kept.answered,
        "failed": asked.fresh.failed + asked.kept.failed,
        "broken": asked.broken,
        "outage_ms": round(1000 * max(asked.fresh.outage_s, asked.kept.outage_s)),
        "by": asked.fresh.by,
        "why": asked.why[:WHY],
    }


def write(folder: Path, name: str, rows: list[dict]) -> None:
    """For machines and for people."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(rows, indent=1))
    head = ["fault", "requests", "failed", "connections broken", "longest outage, ms"]
    lines = [head, ["---"] * len(head), *([str(row[name]) for name in COLUMNS] for row in rows)]
    (folder / f"{name}.md").write_text("".join(f"| {' | '.join(line)} |\n" for line in lines))
