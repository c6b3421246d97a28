"""What people read of a cluster: each condition, each reason, from the world that brings it about."""

from dataclasses import replace

import pytest

from sentinel_operator.decide.plan import plan
from sentinel_operator.decide.status import Addresses, Outcome, status
from sentinel_operator.decide.world import AgentPod, Agents
from support.worlds import buffer_node, carried_out, cluster, node, report, world

TWO = (node("n0"), node("n1"))


def condition(here, kind, outcome=None):
    found = status(here, plan(here), outcome or Outcome())
    return next((c.status, c.reason, c.message) for c in found.conditions if c.type == kind)


def settled(reports):
    """A world in which everything is applied and each node has reported as given."""
    mine = cluster()
    after, _ = carried_out(world(of=mine, nodes=TWO))
    nodes = []
    for ordered, said in zip(after.buffer_nodes, reports, strict=True):
        told = buffer_node(ordered.metadata.name, mine, {**said, "configDigest": ordered.spec.config_digest})
        nodes.append(ordered.model_copy(update={"status": told.status}))
    return carried_out(world(of=mine, nodes=after.nodes, buffer_nodes=nodes, owned=after.owned))[0]


def test_all_agents_work():
    here = settled([report(), report(tier="A")])
    assert condition(here, "Ready") == ("True", "AllAgentsReady", "All 2 agents work.")
    assert condition(here, "Progressing")[:2] == ("False", "Settled")
    assert condition(here, "DataPlaneReady")[:2] == ("True", "Loaded")
    found = status(here, plan(here), Outcome())
    assert (found.nodes, found.ready_nodes, found.coverage_percent, found.rollout.updated_nodes) == (2, 2, 100, 2)
    assert (found.tiers.a, found.tiers.b, found.tiers.c) == (1, 1, 0)


@pytest.mark.parametrize(
    ("reports", "message"),
    [
        pytest.param([report(), report(ready="False")], "1 of 2 agents work", id="one says it is not ready"),
        pytest.param([report(), report(seconds_ago=91)], "1 of 2 agents work", id="one fell silent"),
    ],
)
def test_an_agent_that_does_not_work_shows(reports, message):
    state, reason, said = condition(settled(reports), "Ready")
    assert (state, reason) == ("False", "AgentsNotReady")
    assert message in said


def test_a_pod_that_cannot_start_is_named_with_the_kubelets_words():
    pod = AgentPod("front-agent-x", "n1", "any", trouble="ErrImagePull: no such image")
    here = replace(settled([report(), report(ready="False")]), pods=(AgentPod("front-agent-w", "n0", "any"), pod))
    told = "front-agent-x on n1 waits with ErrImagePull: no such image."
    assert condition(here, "Ready")[2] == f"1 of 2 agents work; {told}"
    assert condition(here, "Progressing")[2].endswith(told)


def test_no_node_with_the_role_is_told_with_the_remedy():
    assert condition(world(nodes=[node("n0", role="")]), "Ready") == (
        "False", "NoNodes", "No node carries sentinel.io/role=buffer: label the nodes that shall buffer.",
    )  # fmt: skip


def test_nodes_taken_by_an_older_cluster_are_named():
    here = world(of=cluster("young", born_minutes_ago=1), rivals=[cluster("old")], nodes=TWO)
    assert condition(here, "Ready")[1] == "NodesTaken"
    state, reason, message = condition(here, "Degraded")
    assert (state, reason) == ("True", "NodesTaken")
    assert message.startswith("n0 and 1 more belongs to BufferCluster default/old")


def test_paused_and_detaching_say_so():
    assert condition(world(of=cluster(paused=True)), "Ready")[1] == "Paused"
    dying = cluster(deleted_seconds_ago=1)
    assert condition(world(of=dying, buffer_nodes=[buffer_node("n0", dying, report())]), "Ready")[1] == "Detaching"


def test_what_the_api_server_refused_is_told():
    assert condition(world(nodes=TWO), "Ready", Outcome("no right to do it")) == (
        "False",
        "ApplyFailed",
        "no right to do it",
    )


def test_observing_only_is_degraded_where_enforcement_was_asked_for():
    asked = cluster(dataPlane={"mode": "Enforce", "interfaces": [{"rateBitsPerSecond": 10**9}]})
    here = world(of=asked, nodes=[node("n0")], buffer_nodes=[buffer_node("n0", asked, report(tier="C"))])
    assert condition(here, "Degraded")[:2] == ("True", "ObserveOnly")


def test_a_condition_that_stays_keeps_its_time():
    first = settled([report(), report()])
    before = status(first, plan(first), Outcome())
    again = status(first, plan(first), Outcome()).conditions
    assert [c.last_transition_time for c in again] == [c.last_transition_time for c in before.conditions]


@pytest.mark.parametrize(
    ("ready", "addresses", "said"),
    [
        (2, Addresses(3), ("True", "Forwarding")),
        (0, Addresses(3), ("False", "NoBalancer")),
        (2, Addresses(0, "default/shop: no address is free"), ("False", "ServiceRefused")),
    ],
)
def test_balancers_say_how_they_do(ready, addresses, said):
    here = replace(world(of=cluster(loadBalancer={"addressPool": ["192.0.2.0/30"]})), balancers=Agents(2, ready))
    found = status(here, plan(here), Outcome(), addresses=addresses)
    (condition,) = (c for c in found.conditions if c.type == "LoadBalancerReady")
    assert (condition.status, condition.reason) == said
    assert (found.load_balancer.addresses_used, found.load_balancer.addresses_total) == (addresses.served, 4)
    later = replace(here, cluster=cluster().model_copy(update={"status": found}))
    off = next(c for c in status(later, plan(later), Outcome()).conditions if c.type == "LoadBalancerReady")
    assert (off.status, off.reason) == ("False", "Off")


def test_nodes_take_tunnels_from_edge_nodes_alone():
    fronted = cluster(loadBalancer={"addressPool": ["192.0.2.0/30"]})
    edge = replace(node("e0", role="edge"), addresses=("198.51.100.7", "2001:db8::7"))
    here = world(of=fronted, nodes=[*TWO, edge])
    assert plan(here).config.balancers == ("198.51.100.7/32", "2001:db8::7/128")
    assert plan(world(of=cluster(), nodes=[*TWO, edge])).config.balancers == ()
