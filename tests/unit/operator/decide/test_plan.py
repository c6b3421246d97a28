"""What the operator would do, as values: no API server needed to know it."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel_api.names import CLUSTER_LABEL, FINALIZER
from sentinel_api.v1alpha1.buffernode import BufferNode
from sentinel_operator.decide.leaving import unheard
from sentinel_operator.decide.parting import NEWS
from sentinel_operator.decide.plan import DETACH_PATIENCE_S, Relabel, plan, report_seconds
from sentinel_operator.decide.world import AgentPod, BalancerPod
from sentinel_operator.objects import Key
from sentinel_operator.render import balancerconfig, configmap
from sentinel_operator.render.base import Release
from support.worlds import NOW, buffer_node, carried_out, cluster, node, report, world

THREE = tuple(node(f"n{i}") for i in range(3))


def kinds(todo):
    return sorted(manifest["kind"] for manifest in todo.apply)


def orders(todo):
    return {m["metadata"]["name"]: m["spec"]["desiredState"] for m in todo.apply if m["kind"] == "BufferNode"}


def test_a_new_cluster_gets_its_objects_and_orders_for_each_node():
    todo = plan(world(nodes=THREE))
    shared = ["ClusterRoleBinding", "RoleBinding", "ServiceAccount", "ServiceAccount"]
    assert kinds(todo) == sorted(["BufferNode"] * 3 + ["ConfigMap", "DaemonSet", "Service"] + shared)
    assert todo.relabel == tuple(Relabel(n.name, "default.front") for n in THREE)
    assert not todo.delete


def made(todo, kind):
    return [manifest for manifest in todo.apply if manifest["kind"] == kind]


def test_addresses_to_give_away_call_for_balancers_on_edge_nodes():
    assert not made(plan(world(nodes=THREE)), "Deployment"), "without addresses there is nothing to balance"
    fronted = cluster(loadBalancer={"addressPool": ["192.0.2.0/24"], "replicas": 3})
    (balancers,) = made(plan(world(of=fronted, nodes=THREE)), "Deployment")
    pod = balancers["spec"]["template"]["spec"]
    assert (balancers["spec"]["replicas"], pod["nodeSelector"]) == (3, {"sentinel.io/role": "edge"})
    assert pod["hostNetwork"]
    assert pod["topologySpreadConstraints"][0]["topologyKey"] == "kubernetes.io/hostname"
    (budget,) = made(plan(world(of=fronted, nodes=THREE)), "PodDisruptionBudget")
    assert budget["spec"]["selector"] == balancers["spec"]["selector"]


def test_an_agent_stays_where_the_role_is_gone_until_our_own_label_goes():
    (agents,) = made(plan(world(nodes=THREE)), "DaemonSet")
    assert agents["spec"]["template"]["spec"]["nodeSelector"] == {CLUSTER_LABEL: "default.front"}


def test_prometheus_is_told_where_it_knows_the_kind():
    assert not made(plan(world(nodes=THREE)), "PodMonitor")
    (monitor,) = made(plan(replace(world(nodes=THREE), monitored=True)), "PodMonitor")
    (agents,) = made(plan(world(nodes=THREE)), "DaemonSet")
    labels = agents["spec"]["template"]["metadata"]["labels"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= labels.items()


def test_agents_meet_by_a_name_that_no_node_changes():
    here = replace(world(nodes=THREE), release=Release("registry.test/agent:1", mesh_port=7447))
    services = {m["metadata"]["name"]: m for m in made(plan(here), "Service")}
    assert services["front-mesh"]["spec"]["clusterIP"] == "None"
    (agents,) = made(plan(here), "DaemonSet")
    env = {e["name"]: e.get("value") for e in agents["spec"]["template"]["spec"]["containers"][0]["env"]}
    assert env["SENTINEL_MESH_PEERS"] == "tcp/front-mesh.default.svc:7447"
    assert made(plan(replace(here, nodes=(*THREE, node("n9")))), "DaemonSet") == [agents]


def test_a_secured_mesh_gives_each_pod_what_it_needs_to_ask_and_moves_no_pod_for_a_member():
    plain = replace(world(nodes=THREE), release=Release("registry.test/agent:1", mesh_port=7447, mesh_trust="PEM"))
    config, agents = named(plain, "ConfigMap", "front-mesh"), named(plain, "DaemonSet", "front-agent")
    assert config["data"] == {"ca.crt": "PEM", "members": "n0\nn1\nn2\nsentinel-operator\n"}
    pod = agents["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    env = {each["name"]: each.get("value") for each in container["env"]}
    assert env["SENTINEL_MESH_LISTEN"] == "tls/$(SENTINEL_HOST_IP):7447"
    assert env["SENTINEL_MESH_PEERS"] == "tls/front-mesh.default.svc:7447"
    mounted = {each["name"]: each["mountPath"] for each in container["volumeMounts"]}
    volumes = {each["name"]: each for each in pod["volumes"]}
    assert env["SENTINEL_MESH_CA"] == f"{mounted['mesh-trust']}/ca.crt"
    assert env["SENTINEL_MESH_MEMBERS_FILE"] == f"{mounted['mesh-trust']}/members"
    assert env["SENTINEL_MESH_ENROL"] == mounted["mesh-identity"]
    assert volumes["mesh-trust"]["configMap"] == {"name": "front-mesh"}
    assert volumes["mesh-identity"]["emptyDir"]["medium"] == "Memory", "a key is written to no disk"
    more = replace(plain, nodes=(*plain.nodes, node("n3")), release=replace(plain.release, mesh_trust="OTHER"))
    assert named(more, "DaemonSet", "front-agent")["spec"]["template"] == agents["spec"]["template"]
    assert named(more, "ConfigMap", "front-mesh")["data"]["ca.crt"] == "OTHER"
    bound = named(plain, "ClusterRoleBinding", "sentinel-mesh-member-default")
    assert [each["name"] for each in bound["subjects"]] == ["sentinel-agent", "sentinel-balancer"]


def named(here, kind, name):
    return next(each for each in plan(here).apply if (each["kind"], each["metadata"]["name"]) == (kind, name))


def test_a_cluster_without_finalizer_gets_it_first():
    fresh = cluster()
    bare = fresh.model_copy(update={"metadata": fresh.metadata.model_copy(update={"finalizers": ()})})
    assert plan(world(of=bare)).finalizer == "add"


@given(
    roles=st.lists(st.sampled_from(["buffer", "edge", ""]), max_size=6),
    classes=st.lists(st.sampled_from(["chat", "orders", "logs"]), unique=True, max_size=3),
)
def test_a_plan_carried_out_plans_nothing_more(roles, classes):
    nodes = [node(f"n{i}", role) for i, role in enumerate(roles)]
    mine = cluster(trafficClasses=[{"name": name, "match": [{"port": 1}]} for name in classes])
    after, _ = carried_out(world(of=mine, nodes=nodes))
    assert plan(after).empty


def test_a_changed_spec_makes_a_new_configuration_and_keeps_the_one_in_use():
    settled, _ = carried_out(world(nodes=THREE[:1]))
    running = settled.buffer_nodes[0].spec.config_digest
    changed = cluster(pool={"maxBytes": 20_000_000})
    reports = [b.model_copy(update={"status": status(b)}) for b in settled.buffer_nodes]
    later = world(of=changed, nodes=settled.nodes, buffer_nodes=reports, owned=settled.owned)
    after, todo = carried_out(later)
    assert kinds(todo) == ["BufferNode", "ConfigMap"]
    old = Key("v1", "ConfigMap", "default", configmap.name(later.owner, running))
    assert old not in todo.delete, "agents still run it"
    moved = [b.model_copy(update={"status": status(b)}) for b in after.buffer_nodes]
    end = world(of=changed, nodes=after.nodes, buffer_nodes=moved, owned=after.owned)
    assert plan(end).delete == (old,)


def status(b: BufferNode):
    return buffer_node(b.metadata.name, cluster(), report(config_digest=b.spec.config_digest)).status


def test_a_node_that_lost_its_role_is_detached_before_it_is_let_go():
    mine = cluster()
    leaver = node("n0", role="", **{CLUSTER_LABEL: "default.front"})
    active = world(of=mine, nodes=[leaver], buffer_nodes=[buffer_node("n0", mine, report())])
    todo = plan(active)
    assert orders(todo) == {"n0": "Detached"}
    assert not todo.relabel, "without its label the agent would be gone before it handed back"
    done = world(of=mine, nodes=[leaver], buffer_nodes=[buffer_node("n0", mine, report(state="Detached"))])
    assert plan(done).relabel == (Relabel("n0", None),)
    assert Key("sentinel.io/v1alpha1", "BufferNode", "", "n0") in plan(done).delete


def test_a_node_whose_agent_is_dead_is_let_go_at_once():
    mine = cluster()
    silent = buffer_node("n0", mine, report(seconds_ago=91))
    todo = plan(world(of=mine, nodes=[node("n0", role="", **{CLUSTER_LABEL: "default.front"})], buffer_nodes=[silent]))
    assert todo.relabel == (Relabel("n0", None),)


def coming_up(seconds=5, said=None, *, leaving=False, deleted_seconds_ago=None):
    """A node on its way out whose agent's container runs for so long; `said` is the last word from there."""
    mine = cluster(deleted_seconds_ago=deleted_seconds_ago)
    since = NOW - timedelta(seconds=seconds) if seconds is not None else None
    leaver = node("n0", role="", **{CLUSTER_LABEL: "default.front"})
    here = world(of=mine, nodes=[leaver], buffer_nodes=[buffer_node("n0", mine, said)])
    return replace(here, pods=(AgentPod("agent-n0", "n0", "any", since=since, leaving=leaving),))


def test_an_agent_that_is_coming_up_hands_back_before_its_node_is_let_go():
    """It has perhaps attached its programs by the orders before, and not said a word yet."""
    for here in (coming_up(), coming_up(said=report(seconds_ago=91))):
        todo = plan(here)
        assert (orders(todo), todo.relabel) == ({"n0": "Detached"}, ())
    going = plan(coming_up(deleted_seconds_ago=1))
    assert (orders(going), going.blocked) == ({"n0": "Detached"}, "Detaching")


@pytest.mark.parametrize(
    "here",
    [
        pytest.param(coming_up(seconds=91), id="it never says anything"),
        pytest.param(coming_up(seconds=None), id="it has not begun"),
        pytest.param(coming_up(leaving=True), id="it ends already"),
        pytest.param(coming_up(said=report(state="Detached", seconds_ago=91)), id="it has handed back"),
        pytest.param(replace(coming_up(), pods=None), id="there is none"),
    ],
)
def test_nobody_else_who_is_silent_is_waited_for(here):
    assert plan(here).relabel == (Relabel("n0", None),)


def test_pods_are_looked_at_where_a_silent_node_leaves_and_nowhere_else():
    stays, mine = node("n0"), cluster()
    assert unheard(coming_up())
    assert unheard(coming_up(deleted_seconds_ago=1))
    assert not unheard(coming_up(said=report()))
    assert not unheard(coming_up(said=report(state="Detached", seconds_ago=91)))
    assert not unheard(world(of=mine, nodes=[stays], buffer_nodes=[buffer_node("n0", mine)])), "it only begins"


FRONTED = {"addressPool": ["192.0.2.0/24"], "replicas": 2}
DEPLOYMENT = Key("apps/v1", "Deployment", "default", "front-balancer")


def told_balancers(todo):
    """What they are to obey, where this plan tells them anything."""
    told = [m["data"]["config.json"] for m in made(todo, "ConfigMap") if m["metadata"]["name"] == "front-balancer"]
    return [(config["detached"], config["vips"]) for config in map(json.loads, told)]


WORKS, COMES_UP, DONE = BalancerPod("a", True, True), BalancerPod("b", False, False), BalancerPod("c", True, False)


def with_balancers(*pods, **meta):
    """A cluster whose balancers have run for a while."""
    here, _ = carried_out(world(of=cluster(loadBalancer=FRONTED), nodes=THREE))
    gone = replace(here, buffer_nodes=(), cluster=cluster(loadBalancer=FRONTED, **meta))
    return replace(gone, balancer_pods=pods)


def some_time_later(told, *pods):
    """A while after the order, with these pods."""
    return replace(told, balancer_pods=pods, parting_since=NOW - NEWS)


def test_deletion_waits_until_every_balancer_has_handed_back():
    dying = with_balancers(WORKS, WORKS, deleted_seconds_ago=1)
    told, todo = carried_out(dying)
    assert (todo.finalizer, todo.blocked, told_balancers(todo)) == ("keep", "Detaching", [(True, [])])
    waiting = plan(some_time_later(told, WORKS, DONE))
    assert (waiting.finalizer, waiting.blocked, waiting.apply) == ("keep", "Detaching", ())
    assert plan(some_time_later(told, DONE, DONE)).finalizer == "release"
    assert plan(some_time_later(told)).finalizer == "release", "none runs"
    late = with_balancers(WORKS, deleted_seconds_ago=DETACH_PATIENCE_S + 1)
    assert plan(late).finalizer == "release"


def test_a_balancer_that_is_coming_up_is_waited_for_too():
    """It began by older orders: it may attach its program when all others are done."""
    told, _ = carried_out(with_balancers(COMES_UP, deleted_seconds_ago=1))
    assert plan(some_time_later(told, COMES_UP, DONE)).blocked == "Detaching"


def test_nobody_is_believed_to_be_done_before_the_order_can_have_reached_it():
    """One that came up a moment ago is not ready yet either."""
    told, todo = carried_out(with_balancers(DONE, deleted_seconds_ago=1))
    (order,) = (m for m in made(todo, "ConfigMap") if m["metadata"]["name"] == "front-balancer")
    assert balancerconfig.parting_since(order) == NOW
    assert plan(replace(told, parting_since=NOW - NEWS + timedelta(seconds=1))).blocked == "Detaching"


def test_balancers_without_an_address_to_give_away_hand_back_before_they_go():
    before = with_balancers(WORKS, DONE)
    asked = replace(before, cluster=cluster(loadBalancer={"replicas": 2}))
    told, todo = carried_out(asked)
    assert told_balancers(todo) == [(True, [])]
    assert DEPLOYMENT not in todo.delete
    assert DEPLOYMENT not in plan(some_time_later(told, WORKS, DONE)).delete, "one is ready yet"
    assert DEPLOYMENT in plan(some_time_later(told, DONE)).delete


def test_deletion_detaches_first_and_lets_go_when_all_have_handed_back():
    dying = cluster(deleted_seconds_ago=1)
    busy = plan(world(of=dying, nodes=THREE, buffer_nodes=[buffer_node("n0", dying, report())]))
    assert (busy.finalizer, busy.blocked, orders(busy)) == ("keep", "Detaching", {"n0": "Detached"})
    done = plan(world(of=dying, nodes=THREE, buffer_nodes=[buffer_node("n0", dying, report(state="Detached"))]))
    assert done.finalizer == "release"


def test_deletion_is_bounded_in_time_even_when_agents_never_answer():
    dying = cluster(deleted_seconds_ago=DETACH_PATIENCE_S + 1)
    stuck = world(of=dying, nodes=THREE, buffer_nodes=[buffer_node("n0", dying, report())])
    assert plan(stuck).finalizer == "release"


def test_orphaning_leaves_the_nodes_as_they_are():
    dying = cluster(deleted_seconds_ago=1, deletionPolicy="Orphan")
    todo = plan(world(of=dying, nodes=THREE, buffer_nodes=[buffer_node("n0", dying, report())]))
    assert todo.finalizer == "release"
    assert not orders(todo)


def test_the_last_cluster_of_a_namespace_takes_the_shared_account_along():
    dying = cluster(deleted_seconds_ago=1)
    account = Key("v1", "ServiceAccount", "default", "sentinel-agent")
    there = {account: ""}
    assert account in plan(world(of=dying, owned=there)).delete
    assert account not in plan(world(of=dying, owned=there, rivals=[cluster("other")])).delete
    assert account not in plan(world(of=dying)).delete, "what is gone is not deleted again"


def test_a_released_cluster_is_nobodys_business():
    gone = cluster(deleted_seconds_ago=1)
    bare = gone.model_copy(update={"metadata": gone.metadata.model_copy(update={"finalizers": ()})})
    assert plan(world(of=bare, nodes=THREE)).empty
    assert FINALIZER not in bare.metadata.finalizers


def test_paused_changes_nothing():
    todo = plan(world(of=cluster(paused=True), nodes=THREE))
    assert todo.empty
    assert todo.blocked == "Paused"


def test_an_object_of_ours_that_nobody_wants_is_deleted():
    relic = Key("v1", "Service", "default", "front-old")
    assert plan(world(owned={relic: "x"})).delete == (relic,)


@given(nodes=st.integers(0, 5000), writes=st.integers(1, 1000))
def test_all_reports_together_stay_within_the_write_budget(nodes, writes):
    pace = report_seconds(nodes, writes)
    assert pace >= 10
    assert nodes / pace <= writes


def test_a_node_that_a_person_drains_gets_no_new_flows_and_keeps_its_role():
    mine = cluster()
    asked = replace(node("n0"), drain_asked=True)
    todo = plan(world(of=mine, nodes=[asked, node("n1")]))
    assert orders(todo) == {"n0": "Draining", "n1": "Active"}
    assert not todo.roles
    settled, _ = carried_out(world(of=mine, nodes=[asked, node("n1")]))
    assert plan(settled).empty
    assert orders(plan(replace(settled, nodes=tuple(replace(n, drain_asked=False) for n in settled.nodes)))) == {
        "n0": "Active"
    }
