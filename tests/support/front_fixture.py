"""Pytest plugin: a cluster with a whole front, for every module that asks for one."""

import ipaddress
from collections.abc import Callable, Sequence

import pytest

from support import shipped
from support.cluster.provider import Cluster, NodeSpec
from support.front import EDGES, NODES, address_of, front, shop, whole


@pytest.fixture(scope="module")
def stage(new_cluster: Callable[[Sequence[NodeSpec]], Cluster]) -> Cluster:
    """The chart; two edge nodes, three buffer nodes with a pod each, a spare one; a BufferCluster with addresses."""
    made = new_cluster(NODES)
    for image in shipped.build_images():
        made.load_image(image)
    shipped.install(made, operator__replicas="2")
    build(made)
    return made


def build(cluster: Cluster) -> None:
    """The pods, and the BufferCluster before them."""
    cluster.kubectl("apply", "-f", "-", stdin=shop())
    around = ipaddress.ip_network(f"{cluster.address(EDGES[0])}/24", strict=False)
    cluster.kubectl("apply", "-f", "-", stdin=front(f"{around[200]}/30"))
    shipped.until(cluster, "the BufferCluster is ready", lambda: shipped.ready(cluster))


@pytest.fixture(scope="module")
def vip(stage: Cluster) -> str:
    """Where the pods answer."""
    return answering(stage)


def answering(cluster: Cluster) -> str:
    """The address, once every pod answers through it."""
    shipped.until(cluster, "the Service has an address", lambda: bool(address_of(cluster)))
    address = address_of(cluster)
    shipped.until(cluster, "all pods answer through the address", lambda: whole(cluster, address))
    return address
