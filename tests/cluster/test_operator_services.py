"""Services of our class against a real API server: addresses, conditions, events, and the balancers' ConfigMap."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from sentinel_api.names import LOAD_BALANCER_CLASS
from sentinel_api.v1alpha1.balancerconfig import BalancerConfig
from sentinel_operator import services
from sentinel_operator.cluster import connected
from sentinel_operator.decide.newcomers import SETTLE, Newcomers
from sentinel_operator.decide.services import ADDRESS_ANNOTATION, CONDITION, ServiceKey
from sentinel_operator.due import ClusterName
from sentinel_operator.mirror import Mirror
from sentinel_operator.objects import FIELD_MANAGER, SLICE_LABEL
from sentinel_operator.observe import observe, refresh
from sentinel_operator.render.base import Release
from support.operators import GROUP, prepared

SHOP = "/api/v1/namespaces/default/services"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
MERGE = {"content_type": "application/merge-patch+json"}
NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)
POOL = ["192.0.2.8/31", "2001:db8::/126"]


class Shop:
    """A cluster with a pool and two nodes, and Services that come and go."""

    def __init__(self, plane, kubeconfig) -> None:
        self.plane = plane
        self.kubeconfig = kubeconfig
        self.newcomers = Newcomers()
        self.now = NOW

    def post(self, path, body) -> dict:
        status, answer = self.plane.request("POST", path, body)
        assert status == 201, answer
        return answer

    def open(self, name, port=80, *, address="", **spec) -> None:
        meta = {"name": name, "annotations": {ADDRESS_ANNOTATION: address} if address else {}}
        ports = [{"name": "one", "port": port, "protocol": spec.pop("protocol", "TCP")}]
        body = {
            "type": "LoadBalancer",
            "loadBalancerClass": LOAD_BALANCER_CLASS,
            "ports": ports,
            "selector": {"a": name},
        }
        self.post(SHOP, {"metadata": meta, "spec": body | spec})

    def close(self, name) -> None:
        assert self.plane.request("DELETE", f"{SHOP}/{name}")[0] == 200

    def clear(self) -> None:
        """As at the beginning, however a test ended."""
        for each in self.plane.request("GET", SHOP)[1]["items"]:
            if each["spec"].get("loadBalancerClass") == LOAD_BALANCER_CLASS:
                self.close(each["metadata"]["name"])
        assert self.plane.request("DELETE", f"{SLICES}/local-1")[0] in (200, 404)
        self.order("n2", "Active")
        self.newcomers, self.now = Newcomers(), NOW

    def order(self, node, state) -> None:
        order = {"spec": {"desiredState": state}}
        assert self.plane.request("PATCH", f"{GROUP}/buffernodes/{node}", order, **MERGE)[0] == 200

    def served(self) -> services.Summary:
        return self._looked(lambda *seen: services.serve(*seen, self.newcomers))

    def given_up(self) -> None:
        self._looked(services.give_up)

    def _looked(self, then):
        """One look, and what is done after it."""

        async def once():
            mirror = Mirror()
            async with connected(mirror.keep) as api:
                await refresh(api, mirror)
                world = await observe(api, mirror, ClusterName("default", "front"), Release(agent_image="none"))
                assert world is not None
                return await then(api, replace(world, now=self.now), tuple(mirror.services))

        return asyncio.run(once())

    def addresses(self, name) -> list[str]:
        found = self.plane.request("GET", f"{SHOP}/{name}")[1]["status"]["loadBalancer"].get("ingress", [])
        return [each["ip"] for each in found]

    def condition(self, name) -> tuple[str, str]:
        found = self.plane.request("GET", f"{SHOP}/{name}")[1]["status"].get("conditions", [])
        return next((each["status"], each["reason"]) for each in found if each["type"] == CONDITION)

    def news(self) -> list[tuple[str, str]]:
        """What our operator told of Services; the API server tells of their cluster addresses beside it."""
        told = self.plane.request("GET", "/api/v1/namespaces/default/events")[1]["items"]
        ours = [event for event in told if event.get("source", {}).get("component") == FIELD_MANAGER]
        return [(event["involvedObject"]["name"], event["reason"]) for event in ours]

    def config(self) -> BalancerConfig:
        stored = self.plane.request("GET", "/api/v1/namespaces/default/configmaps/front-balancer")[1]
        return BalancerConfig.parse(json.loads(stored["data"]["config.json"]))


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory, control_plane) -> Iterator[Shop]:  # its skip is ours too
    folder = tmp_path_factory.mktemp("services")
    with prepared(folder) as plane, pytest.MonkeyPatch.context() as patch:
        # The library reads KUBECONFIG when it is imported, which another test may have done long ago.
        patch.setattr("kubernetes.aio.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(plane.kubeconfig))
        made = Shop(plane, plane.kubeconfig)
        cluster = {"apiVersion": "sentinel.io/v1alpha1", "kind": "BufferCluster", "metadata": {"name": "front"}}
        made.post(
            f"{GROUP}/namespaces/default/bufferclusters", cluster | {"spec": {"loadBalancer": {"addressPool": POOL}}}
        )
        for number, name in enumerate(("n1", "n2"), 1):
            made.post("/api/v1/nodes", {"metadata": {"name": name}})
            address = {"status": {"addresses": [{"type": "InternalIP", "address": f"10.0.0.{number}"}]}}
            assert plane.request("PATCH", f"/api/v1/nodes/{name}/status", address, **MERGE)[0] == 200
            spec = {"clusterRef": {"namespace": "default", "name": "front"}, "configDigest": f"sha256:{'0' * 64}"}
            kinds = {"apiVersion": "sentinel.io/v1alpha1", "kind": "BufferNode"}
            made.post(f"{GROUP}/buffernodes", kinds | {"metadata": {"name": name}, "spec": spec})
        yield made


@pytest.fixture
def shop(town) -> Iterator[Shop]:
    yield town
    town.clear()


def test_services_get_addresses_share_them_run_out_and_give_them_back(shop):
    shop.open("web")
    shop.open("mail", 25, externalTrafficPolicy="Local")
    shop.open("late", 8080)
    summary = shop.served()
    assert summary.served == 2
    assert set(summary.refused) == {ServiceKey("default", "late")} or shop.addresses("late")
    given = {name: shop.addresses(name) for name in ("web", "mail", "late")}
    assert sorted(each for found in given.values() for each in found) == ["192.0.2.8", "192.0.2.9"]
    (left_out,) = [name for name, found in given.items() if not found]
    assert shop.condition(left_out) == ("False", "PoolExhausted")
    assert shop.news() == [(left_out, "PoolExhausted")]

    shop.served()
    assert len(shop.news()) == 1, "the same news is no news"

    (kept,) = [name for name in ("web", "mail") if name != left_out][:1]
    shop.open("beside", 443, address=given[kept][0])
    assert shop.served().served == 3
    assert shop.addresses("beside") == given[kept]

    for name in ("beside", kept):
        shop.close(name)
    shop.served()
    assert shop.addresses(left_out) == given[kept]
    assert shop.condition(left_out) == ("True", "Assigned")


def test_the_balancers_are_told_of_ports_nodes_and_affinity(shop):
    shop.open("sticky", 53, protocol="UDP", sessionAffinity="ClientIP")
    shop.open("local", 80, externalTrafficPolicy="Local")
    endpoints = {
        "metadata": {"name": "local-1", "labels": {SLICE_LABEL: "local"}},
        "addressType": "IPv4",
        "ports": [{"port": 80}],
        "endpoints": [
            {"addresses": ["10.1.0.2"], "nodeName": "n2", "conditions": {"ready": True}},
            {"addresses": ["10.1.0.1"], "nodeName": "n1", "conditions": {"ready": False}},
        ],
    }
    shop.post(SLICES, endpoints)
    shop.served()
    config = shop.config()
    assert [(each.name, each.address) for each in config.backends] == [("n1", "10.0.0.1"), ("n2", "10.0.0.2")]
    vips = {each.port: each for each in config.vips}
    assert (vips[53].protocol, vips[53].sticky, vips[53].idle_seconds, vips[53].backends) == ("UDP", True, 10_800, ())
    assert (vips[80].protocol, vips[80].sticky, vips[80].backends) == ("TCP", False, ("n2",))

    endpoints["endpoints"][1]["conditions"]["ready"] = True
    assert shop.plane.request("PUT", f"{SLICES}/local-1", endpoints)[0] == 200
    local = lambda: next(each.backends for each in shop.config().vips if each.port == 80)  # noqa: E731
    assert shop.served().again_s == SETTLE.total_seconds()
    assert local() == ("n2",), "its own rules may not know of the pod yet"
    shop.now += SETTLE
    assert shop.served().again_s is None
    assert local() == ("n1", "n2")

    for each in endpoints["endpoints"]:
        each["conditions"]["ready"] = False
    assert shop.plane.request("PUT", f"{SLICES}/local-1", endpoints)[0] == 200
    shop.served()
    assert local() == ("n1", "n2"), "flows that stand are not given up for probes that found no time"
    assert shop.plane.request("PUT", f"{SLICES}/local-1", endpoints | {"endpoints": []})[0] == 200
    shop.served()
    assert [each.port for each in shop.config().vips] == [53], "where there is no pod there is no way"

    shop.order("n2", "Draining")
    shop.served()
    assert [each.draining for each in shop.config().backends] == [False, True]


def test_balancers_know_a_class_that_is_new_by_the_number_that_nodes_will_know_it_by(shop):
    path = f"{GROUP}/namespaces/default/bufferclusters/front"
    classes = [{"name": "new", "match": [{"port": 1}]}, {"name": "old", "match": [{"port": 2}]}]
    for body, where in (
        ({"spec": {"trafficClasses": classes}}, path),
        ({"status": {"classIds": {"old": 1, "gone": 2}}}, f"{path}/status"),
    ):
        assert shop.plane.request("PATCH", where, body, **MERGE)[0] == 200
    shop.served()
    assert shop.config().class_ids == {"new": 3, "old": 1}


def test_services_lose_their_addresses_before_the_cluster_that_gave_them_goes(shop):
    shop.open("last", 8443)
    shop.served()
    assert shop.addresses("last")
    shop.given_up()
    assert shop.addresses("last") == []
    assert shop.condition("last") == ("False", "AddressRefused")
    shop.served()
    assert shop.condition("last") == ("True", "Assigned"), "nothing is lost where it was too early"
