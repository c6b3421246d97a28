"""The watches of what there are thousands of, against a server that ends them, cuts them off and forgets."""

import asyncio
import contextlib
import json
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from sentinel_api.names import LOAD_BALANCER_CLASS
from sentinel_operator import watches
from sentinel_operator.due import ClusterName, Due
from sentinel_operator.handlers import Told
from sentinel_operator.mirror import Mirror
from support import worlds
from support.false_server import reached

NAME = ClusterName("default", "front")
ORDERS = "/apis/sentinel.io/v1alpha1/buffernodes"
ENDPOINTS = "/apis/discovery.k8s.io/v1/endpointslices"
V1, V1ALPHA1 = {"version": "v1"}, {"version": "v1alpha1"}


def resources(name, kind):
    known = {"name": name, "kind": kind, "namespaced": False, "verbs": ["list", "watch"]}
    return {"kind": "APIResourceList", "resources": [known]}


KNOWN = {
    "/version": {},
    "/apis": {
        "kind": "APIGroupList",
        "groups": [
            {"name": "sentinel.io", "versions": [V1ALPHA1], "preferredVersion": V1ALPHA1},
            {"name": "discovery.k8s.io", "versions": [V1], "preferredVersion": V1},
        ],
    },
    "/api/v1": resources("nodes", "Node"),
    "/apis/discovery.k8s.io/v1": resources("endpointslices", "EndpointSlice"),
    "/apis/sentinel.io/v1alpha1": resources("buffernodes", "BufferNode"),
}
GONE = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}}


def order(name, version):
    stored = worlds.buffer_node(name, worlds.cluster(), worlds.report(demand=version)).wire()
    return {**stored, "metadata": {**stored["metadata"], "resourceVersion": str(version)}}


def event(kind, told):
    return {"type": kind, "object": told}


@dataclass
class Server:
    """Each watch of `path` is told the next of `streams`, whole lines and then what is there of a last one; after the
    last stream they hear nothing any more, as those of all others do from the start."""

    streams: list[tuple[list, str]]
    listed: list
    path: str = ORDERS
    since: list[str] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request):
        if "watch" not in request.query:
            found = {"metadata": {"resourceVersion": "21"}, "items": self.listed}
            return web.json_response(KNOWN.get(request.path, found))
        answer = web.StreamResponse()
        await answer.prepare(request)
        if request.path == self.path:
            self.since.append(request.query["resourceVersion"])
            if self.streams:
                lines, rest = self.streams.pop(0)
                await answer.write("".join(json.dumps(line) + "\n" for line in lines).encode() + rest.encode())
                return answer
            self.over.set()
        await asyncio.sleep(600)
        return answer


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    monkeypatch.setattr(watches, "retry_after_s", lambda *_: 0.01)


async def followed(server, told):
    async with reached(server) as api:
        both, over = asyncio.create_task(watches.Watches(api, told).run()), asyncio.create_task(server.over.wait())
        done, _ = await asyncio.wait({both, over}, timeout=60, return_when=asyncio.FIRST_COMPLETED)
        both.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await both
        assert done == {over}


def mirrored():
    """As after the worker's first list, of version 10."""
    told = Told(Mirror(), Due())
    told.mirror.asks_anew(worlds.cluster().wire())
    told.mirror.buffer_nodes.settle([order("n0", 9)], 10)
    told.mirror.filled.set()
    return told


def test_a_watch_goes_on_where_it_ended_and_lists_when_the_server_has_forgotten():
    """It ends after a bookmark; the server has forgotten that; the next one breaks in the middle of a line."""
    bookmark = {"kind": "BufferNode", "metadata": {"resourceVersion": "12"}}
    told = mirrored()
    ends = ([event("ADDED", order("n1", 11)), event("BOOKMARK", bookmark)], "")
    breaks = ([event("MODIFIED", order("n2", 22))], '{"type": "MODIF')
    server = Server([ends, ([GONE], ""), breaks], listed=[order("n2", 20)])
    asyncio.run(followed(server, told))
    assert server.since == ["10", "12", "21", "22"]
    versions = {node.metadata.name: int(node.metadata.resource_version) for node in told.mirror.buffer_nodes}
    assert versions == {"n2": 22}, "n0 and n1 went while nobody heard of it"


def test_what_the_watch_says_marks_its_cluster_and_what_the_list_had_does_not():
    told = mirrored()
    server = Server([([event("MODIFIED", order("n0", 11))], "")], listed=[])
    asyncio.run(followed(server, told))
    assert not told.due._marked, "new amounts call nobody"
    server = Server([([event("DELETED", order("n0", 12))], "")], listed=[])
    asyncio.run(followed(server, told))
    assert list(told.due._marked) == [NAME]
    assert not list(told.mirror.buffer_nodes)


def test_a_pod_of_a_service_of_ours_that_comes_or_goes_calls_for_a_look_and_no_other_does():
    told = mirrored()
    for name, policy in (("shop", "Local"), ("anywhere", "Cluster")):
        ours = {"type": "LoadBalancer", "loadBalancerClass": LOAD_BALANCER_CLASS, "externalTrafficPolicy": policy}
        meta = {"namespace": "default", "name": name, "resourceVersion": "9"}
        told.mirror.keep({"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": ours})
    unimportant = [event("MODIFIED", endpoints("other", 22)), event("MODIFIED", endpoints("anywhere", 23))]
    server = Server([(unimportant, "")], listed=[], path=ENDPOINTS)
    asyncio.run(followed(server, told))
    assert not told.due._marked
    server = Server([([event("MODIFIED", endpoints("shop", 22))], "")], listed=[], path=ENDPOINTS)
    asyncio.run(followed(server, told))
    assert list(told.due._marked) == [NAME]


def endpoints(service, version):
    labels = {"kubernetes.io/service-name": service}
    meta = {"namespace": "default", "name": f"{service}-1", "labels": labels, "resourceVersion": str(version)}
    return {"kind": "EndpointSlice", "metadata": meta}
