"""Whoever asks for a certificate gets one for the node that the API server says it runs on, or a reason."""

from dataclasses import replace

import pytest

from sentinel_api.names import MESH_OPERATOR, NODE_NAME_CLAIM
from sentinel_operator.decide import members
from sentinel_operator.decide.enrolment import Asker, refusal
from support.worlds import buffer_node, cluster, node, world

AGENT = Asker(
    "system:serviceaccount:default:sentinel-agent",
    {NODE_NAME_CLAIM: ["n1"]},
    ("digital signature", "client auth", "server auth"),
)
BALANCER = replace(AGENT, username="system:serviceaccount:default:sentinel-balancer", extra={NODE_NAME_CLAIM: ["e1"]})
NODES = (node("n1"), node("n2"), node("e1", role="edge"), node("spare", role=None))


def said(asker, name):
    return refusal(asker, name, NODES, {"default"})


def test_an_agent_and_a_balancer_get_their_own_name():
    assert said(AGENT, "n1") == ""
    assert said(BALANCER, "e1") == ""


@pytest.mark.parametrize(
    ("asker", "name", "why"),
    [
        pytest.param(AGENT, "n2", "runs on node n1", id="another node's name"),
        pytest.param(replace(AGENT, extra={}), "n1", "belongs to no node", id="a token without a pod"),
        pytest.param(replace(AGENT, extra={NODE_NAME_CLAIM: ["n1", "n2"]}), "n1", "no node", id="two claims"),
        pytest.param(replace(AGENT, extra={NODE_NAME_CLAIM: ["e1"]}), "e1", "role buffer", id="an agent on an edge"),
        pytest.param(replace(AGENT, extra={NODE_NAME_CLAIM: ["spare"]}), "spare", "role buffer", id="no role"),
        pytest.param(replace(AGENT, extra={NODE_NAME_CLAIM: ["gone"]}), "gone", "role buffer", id="an unknown node"),
        pytest.param(replace(AGENT, usages=("cert sign",)), "n1", "no more than", id="more than a member needs"),
        pytest.param(
            replace(AGENT, username="system:serviceaccount:other:sentinel-agent"), "n1", "no agent", id="a namespace"
        ),
        pytest.param(replace(AGENT, username="system:serviceaccount:default:shop"), "n1", "no agent", id="an account"),
        pytest.param(replace(AGENT, username="sentinel-agent"), "n1", "no agent", id="a person"),
        pytest.param(replace(AGENT, username="default:sentinel-agent"), "n1", "no agent", id="half a name"),
    ],
)
def test_everybody_else_gets_a_reason(asker, name, why):
    assert why in said(asker, name)


ROUTER = replace(AGENT, username="system:serviceaccount:default:sentinel-router", extra={NODE_NAME_CLAIM: ["z1"]})
ZONED = (*NODES, node("z1", role=None, zone="a"))


@pytest.mark.parametrize(
    ("asker", "name", "why"),
    [
        pytest.param(ROUTER, "zone_a", "", id="its node's zone"),
        pytest.param(replace(ROUTER, extra={NODE_NAME_CLAIM: ["n1"]}), "zone_none", "", id="a node without a zone"),
        pytest.param(ROUTER, "zone_b", "runs on node z1, so it gets no certificate for zone_b", id="another zone"),
        pytest.param(ROUTER, "z1", "no certificate for z1", id="the node's own name"),
        pytest.param(replace(ROUTER, extra={}), "zone_a", "belongs to no node", id="a token without a pod"),
        pytest.param(
            replace(ROUTER, extra={NODE_NAME_CLAIM: ["gone"]}), "zone_none", "runs on node gone", id="unknown"
        ),
        pytest.param(replace(AGENT, extra={NODE_NAME_CLAIM: ["z1"]}), "zone_a", "no certificate", id="an agent there"),
    ],
)
def test_a_router_is_called_after_its_nodes_zone_and_nothing_else(asker, name, why):
    said = refusal(asker, name, ZONED, {"default"})
    assert (why in said) if why else said == ""


def test_members_are_nodes_by_their_labels_and_the_operator():
    mine = cluster(loadBalancer={"addressPool": ["192.0.2.0/24"]})
    here = world(mine, nodes=NODES, buffer_nodes=(buffer_node("leaving", mine),))
    assert members.names(here) == ("e1", "leaving", "n1", "n2", MESH_OPERATOR)


def test_health_moves_no_list_of_members():
    """Or every member would connect anew whenever a node is unwell."""
    sick = tuple(replace(each, ready=False, schedulable=False) for each in NODES)
    auto = cluster(scaling={"mode": "Auto", "driver": {"type": "NodeLabel"}})
    assert members.names(world(auto, nodes=sick)) == members.names(world(auto, nodes=NODES))
    assert "spare" in members.names(world(auto, nodes=NODES))
