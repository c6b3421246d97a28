"""The mirror: whatever order events and lists come in, it ends at the newest version of everything."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel_api.names import LOAD_BALANCER_CLASS
from sentinel_operator.due import ClusterName, Due
from sentinel_operator.handlers import GONE, Told
from sentinel_operator.mirror import Mirror
from support import worlds


def order(name="n1", version=1, demand=0, **said):
    stored = worlds.buffer_node(name, worlds.cluster(), worlds.report(demand=demand, **said)).wire()
    return {**stored, "metadata": {**stored["metadata"], "resourceVersion": str(version)}}


def node(name="n1", version=1, **labels):
    return {"kind": "Node", "metadata": {"name": name, "uid": "u", "resourceVersion": str(version), "labels": labels}}


def demands(mirror):
    return {n.metadata.name: n.status.forecast.demand_bytes_per_second for n in mirror.buffer_nodes}


@given(st.permutations(range(1, 8)))
def test_the_newest_version_wins_in_any_order(versions):
    mirror = Mirror()
    for version in versions:
        mirror.keep(order(version=version, demand=version))
    assert demands(mirror) == {"n1": 7}


def test_new_amounts_are_kept_but_call_nobody():
    mirror = Mirror()
    assert mirror.keep(order(version=1, demand=1)), "a node that is new matters"
    assert not mirror.keep(order(version=2, demand=2))
    assert demands(mirror) == {"n1": 2}


@pytest.mark.parametrize("said", [{"state": "Draining"}, {"tier": "C"}, {"ready": "False"}])
def test_what_a_plan_depends_on_calls_for_a_look(said):
    mirror = Mirror()
    mirror.keep(order(version=1))
    assert mirror.keep(order(version=2, **said))


def test_a_list_removes_what_is_gone_and_keeps_what_came_after_it():
    mirror = Mirror()
    mirror.keep(order("gone", version=3))
    mirror.keep(order("later", version=9))
    mirror.buffer_nodes.settle([order("n1", version=5, demand=5)], version=7)
    assert demands(mirror) == {"later": 0, "n1": 5}


def test_a_late_farewell_does_not_take_away_what_was_made_anew():
    mirror = Mirror()
    mirror.keep(order(version=8))
    assert not mirror.drop(order(version=5))
    assert demands(mirror) == {"n1": 0}
    assert mirror.drop(order(version=9))
    assert demands(mirror) == {}


def test_what_does_not_parse_is_left_out_and_stops_nobody():
    mirror = Mirror()
    mirror.keep({**order("broken"), "spec": {}})
    mirror.keep(order("n1"))
    assert list(demands(mirror)) == ["n1"]


def test_a_user_who_changes_a_cluster_is_heard_at_once_and_our_own_status_is_not():
    told = Told(Mirror(), Due())
    stored = worlds.cluster().wire()
    told.cluster("ADDED", stored)
    name = ClusterName("default", "front")
    assert name in told.due._marked
    told.due._marked.clear()
    told.cluster("MODIFIED", {**stored, "status": {"nodes": 3}})
    assert not told.due._marked
    told.cluster("MODIFIED", {**stored, "metadata": {**stored["metadata"], "generation": 2}})
    assert name in told.due._marked


def test_a_node_that_gains_a_label_calls_every_cluster_and_its_heartbeat_calls_none():
    told = Told(Mirror(), Due())
    told.mirror.asks_anew(worlds.cluster().wire())
    told.node("ADDED", node(version=1))
    told.due._marked.clear()
    told.node("MODIFIED", node(version=2))
    assert not told.due._marked
    told.node("MODIFIED", node(version=3, zone="a"))
    assert list(told.due._marked) == [ClusterName("default", "front")]
    told.due._marked.clear()
    told.node(GONE, node(version=4))
    assert told.due._marked


def service(version=1, ours=True, **spec):
    chosen = {"type": "LoadBalancer", "loadBalancerClass": LOAD_BALANCER_CLASS} if ours else {"type": "ClusterIP"}
    meta = {"name": "shop", "namespace": "default", "resourceVersion": str(version)}
    return {"kind": "Service", "metadata": meta, "spec": chosen | spec}


def test_services_of_our_class_are_kept_and_others_call_nobody():
    told = Told(Mirror(), Due())
    told.mirror.asks_anew(worlds.cluster().wire())
    told.service("ADDED", service(version=1, ours=False))
    assert not told.due._marked
    assert not list(told.mirror.services)
    told.service("MODIFIED", service(version=2))
    assert told.due._marked
    assert [each["metadata"]["name"] for each in told.mirror.services] == ["shop"]
    told.due._marked.clear()
    told.service("MODIFIED", service(version=3, ours=False))
    assert told.due._marked, "one that leaves our class gives its address back"
    assert not list(told.mirror.services)
