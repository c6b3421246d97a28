"""Zones of a mesh: a real API server takes the routers that the operator makes of its nodes' labels, and a router gets
the certificate of its own node's zone."""

from datetime import UTC, datetime

import pytest

from sentinel_api.errors import Invalid
from sentinel_api.names import ZONE_LABEL
from sentinel_api.v1alpha1.meshzones import MeshZones
from sentinel_mesh import certificates
from sentinel_operator.render.access import ROUTER_ACCOUNT
from support.cluster import control_plane as planes
from support.enrolled import enrolment, signing, token_on, trusted
from support.operators import EXAMPLE, running, until

MESH = {"port": 7447, "zones": True}
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"


@pytest.fixture(scope="module")
def bench(tmp_path_factory, control_plane):  # its skip is ours too
    """n1 and n2 in zone a, n3 in zone b."""
    with running(tmp_path_factory.mktemp("zones"), planes.BARE) as here:
        for node, zone in (("n1", "a"), ("n2", "a"), ("n3", "b")):
            here.plane.kubectl("label", "node", node, f"{ZONE_LABEL}={zone}")
        signing(here, MESH, SENTINEL_MESH_ZONES="true")
        here.plane.kubectl("apply", "-f", str(EXAMPLE))
        until(here, "zones are told", lambda: set(members(here)) == {"zone_a", "zone_b"})
        yield here


def members(bench):
    """Zone → its nodes, as everybody is told."""
    text = trusted(bench).get("zones")
    return {zone.name: zone.nodes for zone in MeshZones.model_validate_json(text).zones} if text else {}


def routers(bench):
    """Name of each Deployment of a router → the zones whose nodes it may run on."""
    found = bench.get(DEPLOYMENTS)["items"]
    return {
        each["metadata"]["name"]: each["spec"]["template"]["spec"]["affinity"]["nodeAffinity"][
            "requiredDuringSchedulingIgnoredDuringExecution"
        ]["nodeSelectorTerms"][0]["matchExpressions"][0]["values"]
        for each in found
        if each["metadata"]["name"].startswith("front-mesh-")
    }


def test_each_zone_has_its_nodes_and_two_routers_inside_it_under_names_that_outlive_their_pods(bench):
    assert members(bench) == {"zone_a": ("n1", "n2"), "zone_b": ("n3",)}
    wanted = {f"front-mesh-{zone}-{number}": [zone] for zone in "ab" for number in (0, 1)}
    until(bench, "routers are there", lambda: routers(bench) == wanted)
    for name in wanted:
        service = bench.get(f"/api/v1/namespaces/default/services/{name}")
        assert service["spec"]["clusterIP"] == "None"
    assert {"zone_a", "zone_b"} <= set(trusted(bench)["members"].split())


def test_a_router_gets_the_certificate_of_its_nodes_zone_and_of_no_other(bench, tmp_path):
    token = token_on(bench, ROUTER_ACCOUNT, "n1")
    router, own = enrolment(bench, tmp_path / "a", "zone_a", token)
    assert router.look(datetime.now(UTC))
    assert certificates.common_name(certificates.certificate(own.certificate.read_bytes()).subject) == "zone_a"
    other, none = enrolment(bench, tmp_path / "b", "zone_b", token)
    with pytest.raises(Invalid, match="the token runs on node n1, so it gets no certificate for zone_b"):
        other.look(datetime.now(UTC))
    assert not none.present()


def test_a_node_that_moves_to_another_zone_is_told_there_and_a_zone_without_nodes_goes(bench):
    """Members read the ConfigMap again; no pod of theirs moves."""
    bench.plane.kubectl("label", "node", "n3", f"{ZONE_LABEL}=c", "--overwrite")
    until(bench, "it is in the new one", lambda: members(bench).get("zone_c") == ("n3",))
    until(bench, "the old one's routers went", lambda: {name[11] for name in routers(bench)} == {"a", "c"})
    assert members(bench) == {"zone_a": ("n1", "n2"), "zone_c": ("n3",)}
