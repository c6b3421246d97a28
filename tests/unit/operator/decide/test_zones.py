"""A mesh with zones: each has its routers, each node is in one, and a cluster that asked for none has what it had."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel_api.names import MESH_OPERATOR
from sentinel_api.v1alpha1.meshzones import MeshZones
from sentinel_operator.decide.plan import plan
from sentinel_operator.decide.zones import WIDE_AT_MOST, speakers, zones
from sentinel_operator.render.base import Release
from sentinel_operator.render.routers import short, zone_name
from support.worlds import carried_out, cluster, node, world

NODES = (node("e1", role="edge", zone="a"), node("n1", zone="a"), node("n2", zone="b"), node("n3"))
FRONTED = cluster(loadBalancer={"addressPool": ["192.0.2.0/24"]})
ZONED = Release("registry.test/agent:1", mesh_port=7447, mesh_trust="PEM", mesh_zones=True)


def here(nodes=NODES, release=ZONED, of=FRONTED):
    return replace(world(of, nodes=nodes), release=release)


def named(todo, kind):
    return {each["metadata"]["name"]: each for each in todo.apply if each["kind"] == kind}


def told(todo):
    return MeshZones.read(named(todo, "ConfigMap")["front-mesh"]["data"]["zones"])


def environment(manifest):
    (container,) = manifest["spec"]["template"]["spec"]["containers"]
    return {each["name"]: each.get("value") for each in container["env"]}


def test_whoever_asks_for_no_zones_has_what_he_had():
    asked, before = here(release=replace(ZONED, mesh_zones=False)), here(release=replace(ZONED, mesh_zones=False))
    assert zones(asked) is None
    assert not any("router" in name for name in named(plan(before), "Deployment"))
    assert "zones" not in named(plan(before), "ConfigMap")["front-mesh"]["data"]
    assert "SENTINEL_MESH_PEERS" in environment(named(plan(before), "DaemonSet")["front-agent"])


def test_every_member_is_in_the_zone_of_its_label():
    found = told(plan(here()))
    assert {zone.name: zone.nodes for zone in found.zones} == {
        "zone_none": ("n3",),
        "zone_a": ("e1", "n1"),
        "zone_b": ("n2",),
    }
    assert found.of("n2").routers == (
        "tls/front-mesh-b-0.default.svc:7447",
        "tls/front-mesh-b-1.default.svc:7447",
    )
    assert found.of("stranger") is None
    assert found.edges == ("e1",)


def test_each_zone_has_two_routers_on_its_own_nodes_and_each_its_own_name():
    todo = plan(here())
    routers = {name: each for name, each in named(todo, "Deployment").items() if "mesh" in name}
    assert sorted(routers) == [f"front-mesh-{zone}-{number}" for zone in ("a", "b", "none") for number in (0, 1)]
    for name, each in routers.items():
        service = named(todo, "Service")[name]["spec"]
        labels = each["spec"]["template"]["metadata"]["labels"]
        assert service["selector"].items() <= labels.items()
        assert [other for other in routers.values() if service["selector"].items() <= marks(other).items()] == [each]
    pod = routers["front-mesh-a-0"]["spec"]["template"]["spec"]
    (term,) = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert term["matchExpressions"] == [{"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["a"]}]
    env = environment(routers["front-mesh-a-0"])
    assert env["SENTINEL_MESH_ZONE"] == "zone_a"
    assert env["SENTINEL_MESH_ENDPOINT"] in told(todo).routers
    assert env["SENTINEL_MESH_MEMBERS_FILE"], "routers say who may speak"
    assert pod["serviceAccountName"] == "sentinel-router"
    assert "hostNetwork" not in pod, "a node's port is its agent's"


def marks(deployment):
    return deployment["spec"]["template"]["metadata"]["labels"]


def test_members_are_clients_of_whom_a_file_names_and_no_pod_moves_for_a_zone():
    todo = plan(here())
    for name, each in {**named(todo, "DaemonSet"), **named(todo, "Deployment")}.items():
        if name in ("front-agent", "front-balancer"):
            env = environment(each)
            assert env["SENTINEL_MESH_ZONES_FILE"] == "/etc/sentinel/mesh/zones"
            assert not {"SENTINEL_MESH_LISTEN", "SENTINEL_MESH_PEERS"} & set(env)
    more = plan(here(nodes=(*NODES, node("n4", zone="c"))))
    for name in ("front-agent", "front-balancer", "front-mesh-a-0"):
        of = "DaemonSet" if name == "front-agent" else "Deployment"
        assert named(more, of)[name]["spec"]["template"] == named(todo, of)[name]["spec"]["template"]


def test_routers_may_speak_and_the_account_that_asks_for_their_names_is_there():
    found = here()
    assert speakers(found, zones(found)) == (
        "e1", "n1", "n2", "n3", MESH_OPERATOR, "zone_a", "zone_b", "zone_none",
    )  # fmt: skip
    todo = plan(found)
    assert "sentinel-router" in named(todo, "ServiceAccount")
    bound = named(todo, "ClusterRoleBinding")["sentinel-mesh-member-default"]["subjects"]
    assert "sentinel-router" in [each["name"] for each in bound]


def test_in_the_clear_routers_need_no_account_and_the_file_is_there_all_the_same():
    todo = plan(here(release=replace(ZONED, mesh_trust="")))
    assert "sentinel-router" not in named(todo, "ServiceAccount")
    pod = named(todo, "Deployment")["front-mesh-a-0"]["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert told(todo).of("n1").routers[0].startswith("tcp/")
    assert set(named(todo, "ConfigMap")["front-mesh"]["data"]) == {"zones"}


def test_few_nodes_hear_each_other_over_zones_and_many_do_not():
    few = tuple(node(f"n{index}", zone="a") for index in range(WIDE_AT_MOST))
    assert zones(here(nodes=few)).wide
    assert not zones(here(nodes=(*few, node("one-more", zone="b")))).wide


def test_health_moves_nobody_elsewhere():
    sick = tuple(replace(each, ready=False, schedulable=False) for each in NODES)
    assert zones(here(nodes=sick)) == zones(here())


def test_what_is_carried_out_plans_nothing_more_and_a_zone_that_is_gone_takes_its_routers_along():
    settled, _ = carried_out(carried_out(here())[0])
    again = plan(settled)
    assert not [each for each in again.apply if each["kind"] != "BufferNode"]
    left = plan(replace(settled, nodes=tuple(each for each in settled.nodes if each.name != "n2"), buffer_nodes=()))
    gone = {key.name for key in left.delete if key.kind == "Deployment"}
    assert gone == {"front-mesh-b-0", "front-mesh-b-1"}


@given(st.text(max_size=63))
def test_a_zones_name_fits_wherever_it_stands(label):
    """In objects, in certificates (64 letters), in keys of the mesh; and it is no node's."""
    part = short(label)
    assert 0 < len(part) <= 25
    assert part.strip("-") == part
    assert part.replace("-", "").isalnum()
    assert part.isascii()
    assert part.lower() == part
    assert "_" in zone_name(label)


@pytest.mark.parametrize(("one", "other"), [("", "none"), ("A", "a"), ("a.b", "a-b"), ("x" * 26, "x" * 25)])
def test_two_zones_never_share_a_name(one, other):
    assert short(one) != short(other)
