"""An agent writes the status of its own BufferNode and nothing else, whatever RBAC would let it do."""

import itertools
from pathlib import Path

import pytest

from sentinel_api.names import AGENT_SERVICE_ACCOUNT, API_VERSION, NODE_NAME_CLAIM
from support.cluster.processes import wait_until
from support.refused import NODE_SPEC

POLICY = Path(__file__).resolve().parents[2] / "deploy/helm/sentinel/templates/agent-write-policy.yaml"
NAMESPACE = "agents"
NODES = ("left", "right")
PATIENCE_S = 240.0
GENEROUS = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "ClusterRole",
    "metadata": {"name": "far-too-much"},
    "rules": [{"apiGroups": ["sentinel.io"], "resources": ["*"], "verbs": ["*"]}],
}


@pytest.fixture(scope="module")
def agents(kinds):
    """Two agents with tokens bound to pods on two nodes, more rights than they should have, and the policy in force."""
    plane = kinds.plane
    plane.kubectl("create", "namespace", NAMESPACE)
    plane.kubectl("create", "serviceaccount", "-n", NAMESPACE, AGENT_SERVICE_ACCOUNT)
    assert plane.request("POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles", GENEROUS)[0] == 201
    plane.kubectl(
        "create", "clusterrolebinding", "far-too-much", "--clusterrole=far-too-much", "--group=system:authenticated"
    )
    plane.kubectl("apply", "-f", str(POLICY))
    tokens = {node: _token(plane, node) for node in NODES}
    for node in NODES:
        _make(kinds, node)
    wait_until("the rights have come", lambda: _report(kinds, "left", tokens["left"])[0] == 200, PATIENCE_S)
    wait_until(
        "the policy is in force", lambda: "on that node only" in _said(kinds, "left", tokens["right"]), PATIENCE_S
    )
    yield tokens
    plane.kubectl("delete", "-f", str(POLICY))
    for node in NODES:
        kinds.delete("BufferNode", node)
    plane.kubectl("delete", "clusterrolebinding,clusterrole", "far-too-much")
    plane.kubectl("delete", "node", *NODES)


def _token(plane, node):
    """What a projected volume would hold: the token of a pod that runs on that node."""
    status, made = plane.request("POST", "/api/v1/nodes", {"metadata": {"name": node}})
    assert status == 201, made
    pod = {
        "metadata": {"name": f"agent-{node}"},
        "spec": {
            "nodeName": node,
            "serviceAccountName": AGENT_SERVICE_ACCOUNT,
            "automountServiceAccountToken": False,
            "containers": [{"name": "agent", "image": "none"}],
        },
    }
    status, made = plane.request("POST", f"/api/v1/namespaces/{NAMESPACE}/pods", pod)
    assert status == 201, made
    return plane.service_account_token(NAMESPACE, AGENT_SERVICE_ACCOUNT, f"agent-{node}")


def _make(kinds, name):
    body = {"apiVersion": API_VERSION, "kind": "BufferNode", "metadata": {"name": name}, "spec": NODE_SPEC}
    assert kinds.create(body)[0] == 201


_counter = itertools.count()


def _report(kinds, node, token):
    """Each report differs, so that none is a change of nothing."""
    return kinds.patch(
        "BufferNode", node, {"status": {"observedGeneration": next(_counter)}}, sub="status", token=token
    )


def _said(kinds, node, token):
    """Why a report was refused; without rights it would be for another reason than the policy's."""
    return _report(kinds, node, token)[1].get("message", "")


@pytest.mark.parametrize("node", NODES)
def test_an_agent_writes_the_status_of_its_own_node(kinds, agents, node):
    status, answer = _report(kinds, node, agents[node])
    assert status == 200, answer


@pytest.mark.parametrize(("node", "other"), [NODES, NODES[::-1]])
def test_an_agent_is_refused_the_status_of_another_node(kinds, agents, node, other):
    before = kinds.get("BufferNode", other)
    status, answer = _report(kinds, other, agents[node])
    assert status == 403
    assert (
        f"the status of BufferNode {other} is written by the agent on that node only; "
        f"this token belongs to node {node}" in answer["message"]
    )
    assert kinds.get("BufferNode", other) == before


def test_an_agent_is_refused_its_own_spec(kinds, agents):
    status, answer = kinds.patch("BufferNode", "left", {"spec": {"reportSeconds": 3600}}, token=agents["left"])
    assert status == 403
    assert "an agent writes the status of its BufferNode and nothing else of it" in answer["message"]


def test_an_agent_is_refused_new_nodes_and_the_end_of_its_own(kinds, agents):
    body = {"apiVersion": API_VERSION, "kind": "BufferNode", "metadata": {"name": "third"}, "spec": NODE_SPEC}
    assert kinds.create(body, token=agents["left"])[0] == 403
    assert kinds.plane.request("DELETE", f"/apis/{API_VERSION}/buffernodes/left", token=agents["left"])[0] == 403


def test_a_spec_that_an_agent_hides_in_its_report_is_dropped(kinds, agents):
    change = {"spec": {"reportSeconds": 3600}, "metadata": {"labels": {"x": "y"}}, "status": {"state": "Draining"}}
    assert kinds.patch("BufferNode", "left", change, sub="status", token=agents["left"])[0] == 200
    stored = kinds.get("BufferNode", "left")
    assert (stored["spec"]["reportSeconds"], stored["status"]["state"]) == (10, "Draining")
    assert "labels" not in stored["metadata"]


def test_a_token_that_belongs_to_no_node_writes_no_status(kinds, agents):
    plain = kinds.plane.service_account_token(NAMESPACE, AGENT_SERVICE_ACCOUNT)
    for token in (plain, kinds.plane.token_for("ada")):
        status, answer = _report(kinds, "left", token)
        assert status == 403
        assert "this token belongs to no node" in answer["message"]


def test_the_operator_orders_and_does_not_report(kinds, agents):
    """It has a pod on some node too; that must neither help nor hinder it."""
    claim = {NODE_NAME_CLAIM: ["elsewhere"]}
    operator = kinds.plane.token_for("system:serviceaccount:sentinel-system:sentinel-operator", extra=claim)
    assert kinds.patch("BufferNode", "left", {"spec": {"desiredState": "Draining"}}, token=operator)[0] == 200
    assert _report(kinds, "left", operator)[0] == 403


def test_an_administrator_can_repair_what_is_broken(kinds, agents):
    assert _report(kinds, "right", None)[0] == 200
