"""Status and spec have a writer each, `/scale` moves the one number it should, and fixed fields stay."""

import pytest

from support.refused import DIGEST, NODE_SPEC

HEADER = {"apiVersion": "sentinel.io/v1alpha1"}


@pytest.fixture
def cluster(kinds):
    """A cluster of three nodes that may not grow beyond ten."""
    body = HEADER | {"kind": "BufferCluster", "metadata": {"name": "halves"}, "spec": {"scaling": {"max": 10}}}
    assert kinds.create(body)[0] == 201
    yield "halves"
    kinds.delete("BufferCluster", "halves")


@pytest.fixture
def node(kinds):
    assert kinds.create(HEADER | {"kind": "BufferNode", "metadata": {"name": "halves"}, "spec": NODE_SPEC})[0] == 201
    yield "halves"
    kinds.delete("BufferNode", "halves")


def test_a_status_sent_with_a_spec_is_dropped(kinds, cluster):
    change = {"spec": {"nodes": 4}, "status": {"nodes": 9}}
    assert kinds.patch("BufferCluster", cluster, change)[0] == 200
    stored = kinds.get("BufferCluster", cluster)
    assert stored["spec"]["nodes"] == 4
    assert "status" not in stored


def test_a_spec_sent_with_a_status_is_dropped_and_no_generation_passes(kinds, cluster):
    change = {"spec": {"nodes": 4}, "status": {"nodes": 2, "observedGeneration": 1}}
    assert kinds.patch("BufferCluster", cluster, change, sub="status")[0] == 200
    stored = kinds.get("BufferCluster", cluster)
    assert (stored["spec"]["nodes"], stored["status"]["nodes"], stored["metadata"]["generation"]) == (3, 2, 1)


def test_a_node_keeps_its_orders_when_its_agent_reports(kinds, node):
    change = {"spec": {"desiredState": "Detached"}, "status": {"state": "Active", "configDigest": DIGEST}}
    assert kinds.patch("BufferNode", node, change, sub="status")[0] == 200
    stored = kinds.get("BufferNode", node)
    assert (stored["spec"]["desiredState"], stored["status"]["state"]) == ("Active", "Active")


def test_scale_reads_what_spec_and_status_say(kinds, cluster):
    answer = {"nodes": 2, "selector": "sentinel.io/cluster=halves"}
    assert kinds.patch("BufferCluster", cluster, {"status": answer}, sub="status")[0] == 200
    scale = kinds.get("BufferCluster", cluster, "scale")
    assert scale["spec"] == {"replicas": 3}
    assert scale["status"] == {"replicas": 2, "selector": "sentinel.io/cluster=halves"}


def test_kubectl_scale_sets_the_number_of_nodes(kinds, cluster):
    kinds.plane.kubectl("scale", "bufc", cluster, "--replicas=5")
    assert kinds.get("BufferCluster", cluster)["spec"]["nodes"] == 5


def test_scale_obeys_the_bounds_of_the_spec(kinds, cluster):
    status, answer = kinds.patch("BufferCluster", cluster, {"spec": {"replicas": 11}}, sub="scale")
    assert status == 422
    assert "nodes must not exceed scaling.max" in answer["message"]
    assert kinds.get("BufferCluster", cluster)["spec"]["nodes"] == 3


def test_scale_on_an_old_reading_is_a_conflict(kinds, cluster):
    """What keeps two leaders from scaling on the same thought."""
    scale = kinds.get("BufferCluster", cluster, "scale")
    kinds.plane.kubectl("scale", "bufc", cluster, "--replicas=5")
    stale = {"metadata": {"resourceVersion": scale["metadata"]["resourceVersion"]}, "spec": {"replicas": 6}}
    assert kinds.patch("BufferCluster", cluster, stale, sub="scale")[0] == 409
    assert kinds.get("BufferCluster", cluster)["spec"]["nodes"] == 5


def test_the_way_packets_are_wrapped_cannot_change(kinds, cluster):
    change = {"spec": {"loadBalancer": {"encapsulation": "UDP"}}}
    status, answer = kinds.patch("BufferCluster", cluster, change)
    assert status == 422
    assert "loadBalancer.encapsulation cannot change" in answer["message"]


def test_a_node_cannot_move_to_another_cluster(kinds, node):
    status, answer = kinds.patch("BufferNode", node, {"spec": {"clusterRef": {"name": "other"}}})
    assert status == 422
    assert "clusterRef cannot change: detach the node, then delete its BufferNode" in answer["message"]


def test_a_bad_change_leaves_the_running_state(kinds, cluster):
    before = kinds.get("BufferCluster", cluster)
    assert kinds.patch("BufferCluster", cluster, {"spec": {"nodes": -1}})[0] == 422
    assert kinds.get("BufferCluster", cluster) == before
