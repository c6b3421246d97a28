"""Pytest plugin: a cluster with a whole front, for every module that asks for one."""

import ipaddress
from collections.abc import Callable, Sequence

import pytest

from support import shipped
from support.cluster.provider import Cluster, NodeSpec
from support.front import EDGES, NODES, address_of, front, shop, whole


@pytest.fixture(scope="module")
def stage(new_cluster: Callable[[Sequence[NodeSpec]], Cluster]) -> Cluster:
    """The chart, two edge nodes, two buffer nodes with a pod each, a spare one, and a BufferCluster with addresses."""
    made = new_cluster(NODES)
    for image in shipped.build_images():
        made.load_image(image)
    shipped.install(made, operator__replicas="2")
    made.kubectl("apply", "-f", "-", stdin=shop())
    around = ipaddress.ip_network(f"{made.address(EDGES[0])}/24", strict=False)
    made.kubectl("apply", "-f", "-", stdin=front(f"{around[200]}/30"))
    shipped.until(made, "the BufferCluster is ready", lambda: shipped.ready(made))
    return made


@pytest.fixture(scope="module")
def vip(stage: Cluster) -> str:
    """Where the pods answer."""
    shipped.until(stage, "the Service has an address", lambda: bool(address_of(stage)))
    address = address_of(stage)
    shipped.until(stage, "both pods answer through the address", lambda: whole(stage, address))
    return address
