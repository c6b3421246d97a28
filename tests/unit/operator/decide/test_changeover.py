"""A changed spec as plans: whose orders change, whose pod goes, and what is put back when it went wrong."""

from dataclasses import replace
from datetime import timedelta

import pytest

from sentinel_operator.decide.plan import plan
from sentinel_operator.decide.status import Outcome, status
from sentinel_operator.decide.world import AgentPod
from sentinel_operator.objects import Key
from sentinel_operator.render import daemonset
from support.worlds import NOW, buffer_node, carried_out, cluster, node, report, world

THREE = tuple(node(f"n{i}") for i in range(3))
CAREFUL = {"agent": {"updateStrategy": {"soakSeconds": 60}}}


def told(before, **said):
    """Every agent reports that it runs what it was ordered, and the operator writes its status."""
    nodes = []
    for order in before.buffer_nodes:
        word = report(config_digest=order.spec.config_digest, **said.get(order.metadata.name, {}))
        nodes.append(order.model_copy(update={"status": buffer_node(order.metadata.name, before.cluster, word).status}))
    return written(replace(before, buffer_nodes=tuple(nodes)))


def written(before):
    """The world after one look, with its status in it."""
    after, todo = carried_out(before)
    return replace(after, cluster=after.cluster.model_copy(update={"status": status(before, todo, Outcome())}))


def asked(before, **spec):
    """The user changes the spec."""
    return replace(before, cluster=before.cluster.model_copy(update={"spec": cluster(**spec).spec}))


@pytest.fixture
def settled():
    fresh, _ = carried_out(world(of=cluster(**CAREFUL), nodes=THREE))
    return told(told(fresh))


def orders(todo):
    return [m["metadata"]["name"] for m in todo.apply if m["kind"] == "BufferNode"]


def template(todo):
    return next((m["spec"]["template"] for m in todo.apply if m["kind"] == "DaemonSet"), None)


def test_the_first_configuration_is_kept_as_the_good_one(settled):
    rollout = settled.cluster.status.rollout
    assert (rollout.phase, rollout.good, rollout.updated_nodes) == ("Done", rollout.target, 3)
    assert settled.good_template
    assert plan(settled).empty


def test_a_new_configuration_is_ordered_of_one_node_first(settled):
    changed = asked(settled, pool={"maxBytes": 20_000_000}, **CAREFUL)
    assert orders(plan(changed)) == ["n0"]
    soaking = told(written(changed))
    assert soaking.cluster.status.rollout.phase == "Soaking"
    assert not orders(plan(soaking))


def test_a_new_version_takes_the_pod_of_one_node_first(settled):
    old = daemonset.template_digest(settled.good_template)
    pods = tuple(AgentPod(f"agent-{n.name}", n.name, old) for n in THREE)
    todo = plan(asked(replace(settled, pods=pods), agent={**CAREFUL["agent"], "logLevel": "Debug"}))
    assert todo.delete == (Key("v1", "Pod", "default", "agent-n0"),)
    assert "Debug" in str(template(todo)), "pods that are made from now on are new ones"


def test_a_pod_that_is_going_already_is_not_deleted_again(settled):
    old = daemonset.template_digest(settled.good_template)
    pods = tuple(AgentPod(f"agent-{n.name}", n.name, old, leaving=n.name == "n0") for n in THREE)
    todo = plan(asked(replace(settled, pods=pods), agent={**CAREFUL["agent"], "logLevel": "Debug"}))
    assert not todo.delete


@pytest.fixture
def renewed(settled):
    """The canary's pod was made anew, a second after its predecessor's last word."""
    new = {**CAREFUL["agent"], "logLevel": "Debug"}
    version = daemonset.template_digest(template(plan(asked(settled, agent=new))))
    old = daemonset.template_digest(settled.good_template)
    others = tuple(AgentPod(f"agent-{n.name}", n.name, old) for n in THREE[1:])

    def begun(since):
        return asked(replace(settled, pods=(AgentPod("agent-n0", "n0", version, since=since), *others)), agent=new)

    return begun


def test_what_a_predecessor_said_last_does_not_count_for_the_new_agent(renewed):
    """It worked, and its word stands until the new one reports: which is then seen to start, and not to break."""
    silent = told(renewed(NOW - timedelta(seconds=1)))
    assert silent.cluster.status.rollout.phase == "Canary", "a word of the same second may be its predecessor's"
    starting = told(silent, n0={"ready": "False", "seconds_ago": 0})
    assert starting.cluster.status.rollout.phase == "Canary"
    assert told(starting, n0={"seconds_ago": 0}).cluster.status.rollout.phase == "Soaking"


def test_a_pod_whose_agent_has_not_begun_has_said_nothing_whatever_the_clocks_say(renewed):
    assert told(renewed(None), n0={"seconds_ago": 0}).cluster.status.rollout.phase == "Canary"


def test_a_canary_that_breaks_gets_its_old_configuration_and_template_back(settled):
    good = settled.cluster.status.rollout.good_config_digest
    changed = asked(settled, pool={"maxBytes": 20_000_000}, agent={**CAREFUL["agent"], "logLevel": "Debug"})
    soaking = told(written(changed))
    broken = told(soaking, n0={"ready": "False"})
    assert broken.cluster.status.rollout.phase == "RollingBack"
    back, todo = carried_out(broken)
    assert orders(todo) == ["n0"]
    assert {b.spec.config_digest for b in back.buffer_nodes} == {good}
    assert "Debug" not in str(back.good_template)
    held = told(told(back))
    found = {c.type: (c.status, c.reason) for c in held.cluster.status.conditions}
    assert held.cluster.status.rollout.phase == "Held"
    assert found["Degraded"] == ("True", "RolloutFailed")
    assert plan(held).empty, "what failed is not tried again until something else is asked for"


def test_a_node_that_comes_while_others_are_watched_gets_what_was_good(settled):
    good = settled.cluster.status.rollout.good_config_digest
    soaking = told(written(asked(settled, pool={"maxBytes": 20_000_000}, **CAREFUL)))
    later, _ = carried_out(replace(soaking, nodes=(*soaking.nodes, node("n9"))))
    assert {b.metadata.name: b.spec.config_digest for b in later.buffer_nodes}["n9"] == good
