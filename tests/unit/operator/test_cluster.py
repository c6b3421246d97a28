"""The door to an API server that does not answer: what is asked again, what is not, and what is asked at all."""

import asyncio
import tempfile
from collections import Counter

import pytest
from aiohttp import web

from sentinel_api.errors import Transient
from sentinel_api.names import LOAD_BALANCER_CLASS
from sentinel_operator import cluster
from sentinel_operator.mirror import Mirror
from sentinel_operator.objects import Key
from sentinel_operator.observe import settle
from support.false_server import reached

PATIENCE_S = 3
LISTED = "/api/v1/services"
MAPS = "/api/v1/namespaces/default/configmaps/front"
V1 = {"version": "v1"}
CONFIG_MAPS = {"name": "configmaps", "kind": "ConfigMap", "namespaced": True, "verbs": ["get"]}
SERVICES = {"name": "services", "kind": "Service", "namespaced": True, "verbs": ["list"]}
KNOWN = {
    "/version": {},
    "/apis": {
        "kind": "APIGroupList",
        "groups": [{"name": name, "versions": [V1], "preferredVersion": V1} for name in ("apps", "batch", "policy")],
    },
    "/api/v1": {"kind": "APIResourceList", "resources": [CONFIG_MAPS]},
    MAPS: {"metadata": {"name": "front"}},
}


class Server:
    """Answers what it knows; the first `silent` requests of a kind are never answered."""

    def __init__(self, **silent):
        self.silent = Counter(silent)
        self.asked = Counter()

    async def handle(self, request):
        self.asked[f"{request.method} {request.path}"] += 1
        if request.path == MAPS and self.silent[request.method] > 0:
            self.silent[request.method] -= 1
            await asyncio.sleep(600)
        return web.json_response(KNOWN[request.path])


@pytest.fixture
def hurried(monkeypatch):
    monkeypatch.setattr(cluster, "_BOUNDED", {**cluster._BOUNDED, "_request_timeout": PATIENCE_S})


def test_a_read_without_an_answer_is_asked_once_more_and_a_write_is_not(hurried):
    server = Server(GET=1, PATCH=1)
    at = Key("v1", "ConfigMap", "default", "front")

    async def work():
        async with reached(server) as api:
            found = await api.get(at)
            with pytest.raises(Transient, match="the API server does not answer: cannot patch ConfigMap"):
                await api.merge(at, {"data": {}})
            return found

    assert asyncio.run(work()) == KNOWN[MAPS]
    assert (server.asked[f"GET {MAPS}"], server.asked[f"PATCH {MAPS}"]) == (2, 1)


def test_only_the_group_of_a_kind_is_asked_for_it_and_nothing_is_left_on_disk(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    server = Server()

    async def work():
        async with reached(server) as api:
            await api.get(Key("v1", "ConfigMap", "default", "front"))

    asyncio.run(work())
    assert {each.partition(" ")[2] for each in server.asked} == {"/version", "/apis", "/api/v1", MAPS}
    assert not list(tmp_path.iterdir())


class Paged(Server):
    """A kind that comes in two pages; the names of the second are those of later objects."""

    async def handle(self, request):
        if request.path != LISTED:
            return await super().handle(request)
        names = {None: ["a", "b"], "next": ["c"]}[request.query.get("continue")]
        self.asked["pages"] += 1
        rest = {} if "continue" in request.query else {"continue": "next"}
        return web.json_response(
            {"metadata": {"resourceVersion": "7", **rest}, "items": [service(name, 5) for name in names]}
        )


def service(name, version):
    spec = {"type": "LoadBalancer", "loadBalancerClass": LOAD_BALANCER_CLASS}
    return {"metadata": {"name": name, "namespace": "default", "resourceVersion": str(version)}, "spec": spec}


def test_a_long_list_is_settled_page_by_page_and_what_no_page_had_is_gone(monkeypatch):
    monkeypatch.setitem(KNOWN, "/api/v1", {"kind": "APIResourceList", "resources": [SERVICES]})
    server, mirror = Paged(), Mirror()
    for name, version in (("a", 4), ("gone", 6), ("later", 8)):
        mirror.services.keep(service(name, version))

    async def work():
        async with reached(server) as api:
            return await settle(api, mirror.services, "v1", "Service"), await api.list("v1", "Service")

    version, listed = asyncio.run(work())
    assert (version, mirror.services.version, server.asked["pages"]) == (7, 7, 4)
    assert [each["metadata"]["name"] for each in listed] == ["a", "b", "c"]
    kept = {each["metadata"]["name"]: each["metadata"]["resourceVersion"] for each in mirror.services}
    assert kept == {"a": "5", "b": "5", "c": "5", "later": "8"}
