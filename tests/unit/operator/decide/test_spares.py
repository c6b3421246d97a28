"""Driver NodeLabel: which nodes get the role, and in which order they give it back."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel_api.names import CLUSTER_LABEL, ROLE_LABEL
from sentinel_operator.decide.plan import plan
from sentinel_operator.decide.spares import CONTROL_PLANE_LABEL, DRAIN_PATIENCE_S, Moves, moves
from sentinel_operator.decide.world import ScaleObject
from support.worlds import NOW, buffer_node, carried_out, cluster, node, report, world

ZONES = st.sampled_from(["a", "b", "c"])


def asking(target, mode="Auto", deleted_seconds_ago=None, **scaling):
    """A cluster whose committed decision asks for so many nodes."""
    said = {"scaling": {"targetNodes": target}}
    return cluster(
        status=said, scaling={"mode": mode, "min": 1, **scaling}, deleted_seconds_ago=deleted_seconds_ago
    )  # fmt: skip


def taken(here):
    return [change.node for change in moves(here).roles if change.role]


def freed(here):
    return [change.node for change in moves(here).roles if not change.role]


def test_a_missing_node_is_taken_from_the_spares_of_the_emptiest_zone():
    mine = [node("n0", zone="a"), node("n1", zone="b")]
    spares = [node("s0", role="", zone="a"), node("s1", role="", zone="b"), node("s2", role="", zone="c")]
    assert taken(world(of=asking(3), nodes=[*mine, *spares])) == ["s2"]
    assert taken(world(of=asking(5), nodes=[*mine, *spares])) == ["s2", "s0", "s1"]


@pytest.mark.parametrize(
    "unfit",
    [
        pytest.param(node("s0", role="edge"), id="it has another role"),
        pytest.param(node("s0", role="", ready=False), id="it is not ready"),
        pytest.param(replace(node("s0", role=""), schedulable=False), id="it is cordoned"),
        pytest.param(node("s0", role="", **{CONTROL_PLANE_LABEL: ""}), id="it runs the control plane"),
        pytest.param(node("s0", role="", **{CLUSTER_LABEL: "other.one"}), id="another cluster's agent is still there"),
    ],
)
def test_an_unfit_node_is_no_spare(unfit):
    assert moves(world(of=asking(1), nodes=[unfit])) == Moves(missing=1)


def test_only_spares_that_the_user_allows_are_taken():
    here = [node("s0", role=""), node("s1", role="", pool="spare")]
    assert taken(world(of=asking(2, driver={"spareNodeSelector": {"pool": "spare"}}), nodes=here)) == ["s1"]


def test_a_spare_that_an_older_cluster_would_claim_is_left_alone():
    older = cluster("older", born_minutes_ago=90)
    assert not taken(world(of=asking(1), rivals=[older], nodes=[node("s0", role="")]))


@pytest.mark.parametrize("mode", ["Off", "Recommend"])
def test_who_only_recommends_moves_nothing(mode):
    assert moves(world(of=asking(3, mode), nodes=[node("n0"), node("s0", role="")])) == Moves()
    assert moves(world(of=cluster(), nodes=[node("s0", role="")])) == Moves()


def test_scale_out_only_gives_nothing_back():
    assert moves(world(of=asking(1, "ScaleOutOnly"), nodes=[node("n0"), node("n1")])) == Moves()


def test_a_node_is_drained_before_it_gives_its_role_back():
    mine = asking(1)
    nodes = [node("n0"), node("n1", taken_by="default.front")]
    busy = [buffer_node(n.name, mine, report(demand=10**8)) for n in nodes]
    here = world(of=mine, nodes=nodes, buffer_nodes=busy)
    assert (freed(here), moves(here).draining) == ([], {"n1": NOW})
    after, _ = carried_out(here)
    orders = {b.metadata.name: b.spec.desired_state for b in after.buffer_nodes}
    assert orders == {"n0": "Active", "n1": "Draining"}
    assert plan(after).empty, "it waits for the flows to leave"


@pytest.mark.parametrize(
    ("said", "seconds", "goes"),
    [
        pytest.param(report("Draining", demand=10**8), 10, False, id="flows are still there"),
        pytest.param(report("Active", demand=0), 10, False, id="the agent has not obeyed yet"),
        pytest.param(report("Draining", demand=0), 10, False, id="a quiet instant, too early to say anything"),
        pytest.param(report("Draining", demand=0), 20, True, id="its flows have left"),
        pytest.param(report("Active", demand=10**8), 120, True, id="patience is over"),
        pytest.param(None, 119, False, id="no agent ever spoke, so nobody knows what passes there"),
        pytest.param(None, 120, True, id="no agent ever spoke, and patience is over"),
    ],
)
def test_when_a_draining_node_goes(said, seconds, goes):
    mine = asking(1)
    nodes = [buffer_node("n0", mine, report()), buffer_node("n1", mine, said, drained_seconds=seconds)]
    here = world(of=mine, nodes=[node("n0"), node("n1")], buffer_nodes=nodes)
    assert freed(here) == (["n1"] if goes else [])
    assert moves(here).draining == {"n1": NOW - timedelta(seconds=seconds)}


def test_a_node_without_orders_is_told_to_drain_before_it_goes():
    here, _ = carried_out(world(of=asking(1), nodes=[node("n0"), node("n1")]))
    assert {b.metadata.name: b.spec.desired_state for b in here.buffer_nodes} == {"n0": "Draining", "n1": "Active"}
    assert not freed(here)


def test_demand_that_comes_back_ends_the_draining():
    mine = asking(2)
    draining = buffer_node("n1", mine, report("Draining", demand=1), drained_seconds=10)
    here = world(of=mine, nodes=[node("n0"), node("n1")], buffer_nodes=[buffer_node("n0", mine, report()), draining])
    after, _ = carried_out(here)
    assert {b.spec.desired_state for b in after.buffer_nodes} == {"Active"}


def test_the_node_that_is_missed_least_goes_first():
    mine = asking(3)
    nodes = [node("n0", zone="a"), node("n1", zone="a"), node("n2", zone="b"), node("n3", zone="b", ready=False)]
    loads = {"n0": 9, "n1": 5, "n2": 1, "n3": 9}
    orders = [buffer_node(name, mine, report(demand=load)) for name, load in loads.items()]
    assert set(moves(world(of=mine, nodes=nodes, buffer_nodes=orders)).draining) == {"n3"}, "it is down"
    two = world(of=asking(2), nodes=nodes, buffer_nodes=orders)
    assert set(moves(two).draining) == {"n3", "n1"}, "then the fuller zone's idlest"


def test_a_cluster_that_goes_frees_the_nodes_it_took_and_no_others():
    dying = asking(2, deleted_seconds_ago=1)
    todo = plan(world(of=dying, nodes=[node("n0"), node("n1", taken_by="default.front")]))
    assert (todo.finalizer, [(c.node, c.role) for c in todo.roles]) == ("release", [("n1", None)])


@given(st.lists(st.tuples(st.booleans(), ZONES), max_size=8), st.integers(1, 9))
def test_growth_carried_out_asks_for_nothing_more_and_takes_no_node_away(found, target):
    nodes = [node(f"n{i}", role="buffer" if ours else "", zone=zone) for i, (ours, zone) in enumerate(found)]
    before = {n.name for n in nodes if ROLE_LABEL in n.labels}
    after, _ = carried_out(world(of=asking(max(target, len(before))), nodes=nodes))
    now = {n.name for n in after.nodes if ROLE_LABEL in n.labels}
    assert before <= now
    assert len(now) == min(max(target, len(before)), len(nodes))
    settled, _ = carried_out(after)
    assert plan(settled).empty


@given(st.lists(ZONES, min_size=1, max_size=8), st.integers(1, 8))
def test_shrinking_carried_out_ends_at_the_target_after_all_have_had_their_time(zones, target):
    nodes = [node(f"n{i}", zone=zone) for i, zone in enumerate(zones)]
    here = world(of=asking(min(target, len(nodes))), nodes=nodes)
    for _ in range(2):
        here, _ = carried_out(here)
    assert len([n for n in here.nodes if ROLE_LABEL in n.labels]) == len(nodes), "nobody goes undrained"
    here = replace(here, now=NOW + timedelta(seconds=DRAIN_PATIENCE_S))
    for _ in range(4):
        here, _ = carried_out(here)
    assert len([n for n in here.nodes if ROLE_LABEL in n.labels]) == min(target, len(nodes))
    assert plan(here).empty


def test_the_scale_of_another_object_follows_the_target():
    driver = {"type": "ScaleSubresource", "target": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "pool"}}
    asked = asking(5, driver=driver)
    assert plan(world(of=asked, scale=ScaleObject(3))).replicas == 5
    assert plan(world(of=asked, scale=ScaleObject(5))).replicas is None
    assert plan(world(of=asked, scale=ScaleObject(refusal="no right"))).replicas is None
    more = asking(5, "ScaleOutOnly", driver=driver)
    assert plan(world(of=more, scale=ScaleObject(7))).replicas is None


def test_in_auto_spec_nodes_says_what_holds():
    assert plan(world(of=asking(5))).nodes == 5
    assert plan(world(of=asking(5, "ScaleOutOnly"))).nodes is None


def test_with_a_capacity_buffer_room_is_asked_for_the_nodes_that_are_missing():
    room = {"type": "CapacityBuffer", "spareNodeSelector": {"pool": "spare"}}
    spare = node("s0", role="", pool="spare")
    here = replace(world(of=asking(4, driver=room), nodes=[node("n0"), spare]), buffers_capacity=True)
    assert taken(here) == ["s0"], "a spare that is there is taken as ever"
    made = {manifest["kind"]: manifest for manifest in plan(here).apply}
    assert made["CapacityBuffer"]["spec"]["replicas"] == 2
    assert made["CapacityBuffer"]["spec"]["podTemplateRef"]["name"] == made["PodTemplate"]["metadata"]["name"]
    assert made["PodTemplate"]["template"]["spec"]["nodeSelector"] == {"pool": "spare"}
    unknown = replace(here, buffers_capacity=False)
    assert "CapacityBuffer" not in {manifest["kind"] for manifest in plan(unknown).apply}
