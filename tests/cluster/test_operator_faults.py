"""The operator behind a network and an API server that fail: it converges, scales once, and never storms."""

import asyncio
import contextlib
import itertools
import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest
import yaml

from sentinel_api.errors import Invalid
from sentinel_api.names import CLUSTER_LABEL
from sentinel_operator import act
from sentinel_operator.cluster import connected
from sentinel_operator.decide.plan import Plan
from sentinel_operator.decide.world import World
from sentinel_operator.election import LEASE_LOST_CODE
from sentinel_operator.mirror import Mirror
from sentinel_operator.objects import Key
from sentinel_operator.observe import observe
from sentinel_operator.refusals import Refusals
from sentinel_operator.render.base import Release
from support.cluster import control_plane as planes
from support.faulty_proxy import Asked, Fault, Proxy, between
from support.lives import NAME, Guillotine, one_life, reached_by
from support.operators import FRONT, GROUP, PATIENCE_S, SYSTEM, Bench, prepared, rights, until
from support.scaled import (
    MB,
    NODES,
    SPARES,
    agents_expect,
    ask,
    decided_again,
    empty,
    front,
    make_nodes,
    ordered,
    scaling,
    taken,
)

LEASE = f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases/sentinel-operator"
MOST_DEATHS = 12
SLOW = (pytest.mark.slow, pytest.mark.timeout(900))
MOST_REQUESTS_PER_S = 25.0  # a look has about twenty, and a cluster rests a second after each


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory, control_plane) -> Iterator[tuple[Bench, Proxy]]:
    folder = tmp_path_factory.mktemp("faults")
    with prepared(folder, planes.BARE) as plane, between(plane.url, str(plane.pki.root)) as proxy:
        token = plane.service_account_token(SYSTEM, "sentinel-operator")
        direct = yaml.safe_load(plane.kubeconfig_for(token, folder / "direct.kubeconfig").read_text())
        direct["clusters"][0]["cluster"] = {"server": proxy.url}
        (folder / "operator.kubeconfig").write_text(yaml.safe_dump(direct))
        bench = Bench(plane, folder, folder / "operator.kubeconfig")
        make_nodes(bench)
        yield bench, proxy
        for process in bench.operators:
            process.kill()
            process.wait()


@pytest.fixture
def faulty(behind: tuple[Bench, Proxy]) -> Iterator[tuple[Bench, Proxy]]:
    bench, proxy = behind
    yield bench, proxy
    proxy.choose, proxy.lost = lambda _: "", lambda _: None
    for process in bench.operators:
        process.send_signal(signal.SIGKILL)
        process.wait(PATIENCE_S)
    empty(bench)


@contextlib.contextmanager
def scaling_of(bench: Bench, group: str, resource: str) -> Iterator[None]:
    """The chart lets the operator scale objects of that kind."""
    wider = rights(scaleTargets=[{"apiGroup": group, "resource": resource}])
    bench.plane.kubectl("apply", "-f", "-", stdin=wider)
    try:
        yield
    finally:
        bench.plane.kubectl("apply", "-f", "-", stdin=rights())


def calm(bench: Bench) -> None:
    """Three nodes carry what three can."""
    agents_expect(bench, 90 * MB, *NODES)
    until(bench, "three suffice", lambda: scaling(bench).get("targetNodes") == 3)


def rises(bench: Bench) -> None:
    """Three nodes expect what four would carry: one spare is taken, and no second one."""
    agents_expect(bench, 125 * MB, *NODES)
    until(bench, "a spare is taken", lambda: taken(bench) == [*NODES, SPARES[0]])
    until(bench, "it has orders", lambda: ordered(bench) == {*NODES, SPARES[0]})
    decided_again(bench)
    scaled_once(bench)


def scaled_once(bench: Bench) -> None:
    assert taken(bench) == [*NODES, SPARES[0]]
    assert [(d["fromNodes"], d["toNodes"]) for d in scaling(bench)["decisions"]] == [(3, 4)]


def states(bench: Bench) -> set[str]:
    return {order["spec"]["desiredState"] for order in bench.get(f"{GROUP}/buffernodes")["items"]}


def orphans(bench: Bench, uid: str) -> list[str]:
    """Of a cluster that is gone: claimed nodes, and objects that its end would not take along."""
    kinds = "configmaps,services,daemonsets,deployments,nodes,serviceaccounts,rolebindings,clusterrolebindings"
    found = bench.plane.kubectl(
        "get", kinds, "-A", "-l", "app.kubernetes.io/managed-by=sentinel-operator", "-o", "json"
    )
    items = json.loads(found.stdout)["items"] + bench.get("/api/v1/nodes")["items"]
    claimed = [each["metadata"]["name"] for each in items if CLUSTER_LABEL in each["metadata"].get("labels", {})]
    owned = [each for each in items if uid in (o["uid"] for o in each["metadata"].get("ownerReferences", ()))]
    return sorted(set(claimed) - {each["metadata"]["name"] for each in owned})


def once_each(fault: Fault) -> Callable[[Asked], Fault]:
    """Every different write fails once."""
    met: set[tuple[str, str]] = set()

    def choose(asked: Asked) -> Fault:
        known = (asked.method, asked.path)
        if not asked.writes or asked.election or known in met:
            return ""
        met.add(known)
        return fault

    return choose


def every(number: int, fault: Fault) -> Callable[[Asked], Fault]:
    """Whatever it is, also the Lease and the watches."""
    count = itertools.count(1)
    return lambda _: fault if next(count) % number == 0 else ""


def watches(fault: Fault) -> Callable[[Asked], Fault]:
    return lambda asked: fault if asked.watch else ""


@pytest.mark.parametrize(
    "killed_from", [pytest.param("its birth to its end", marks=SLOW), pytest.param("the forecast to the spare")]
)
def test_a_leader_killed_after_any_of_its_writes_repeats_nothing_and_forgets_nothing(faulty, killed_from):
    bench, proxy = faulty
    guillotine = Guillotine(proxy)
    whole = killed_from == "its birth to its end"
    first = guillotine.lives if whole else one_life
    with reached_by(bench.kubeconfig):
        ask(bench, "Auto", intervalSeconds=1)
        first(lambda: ordered(bench) == set(NODES))
        agents_expect(bench, 90 * MB, *NODES)
        first(lambda: scaling(bench).get("targetNodes") == 3)
        agents_expect(bench, 125 * MB, *NODES)
        guillotine.lives(lambda: ordered(bench) == {*NODES, SPARES[0]})
        decided = scaling(bench)["observedAt"]
        guillotine.lives(lambda: scaling(bench)["observedAt"] > decided)
        scaled_once(bench)
        if whole:
            ends(bench, guillotine)
    sys.stdout.write(f"{len(guillotine.cuts)} lives: {guillotine.cuts}\n")  # shown by pytest -rP


def ends(bench: Bench, guillotine: Guillotine) -> None:
    """The cluster is deleted; agents answer when they are asked."""
    agents_expect(bench, 90 * MB, SPARES[0])
    uid = bench.get(FRONT)["metadata"]["uid"]
    bench.plane.kubectl("delete", "bufferclusters", "front", "--wait=false")
    guillotine.lives(lambda: states(bench) == {"Detached"})
    for name in (*NODES, SPARES[0]):
        bench.agent_says(name, state="Detached")
    guillotine.lives(lambda: bench.get(FRONT) is None)
    assert not ordered(bench)
    assert taken(bench) == list(NODES), "the spare that it took is spare again"
    assert not orphans(bench, uid)


@pytest.mark.parametrize("fault", ["busy", "break"])
def test_it_scales_once_though_every_third_request_is_refused(faulty, fault):
    """The look of an operator, without its process and its watches; those are further down."""
    bench, proxy = faulty
    proxy.choose = every(3, fault)
    with reached_by(bench.kubeconfig):
        ask(bench, "Auto", intervalSeconds=1)
        one_life(lambda: ordered(bench) == set(NODES))
        agents_expect(bench, 90 * MB, *NODES)
        one_life(lambda: scaling(bench).get("targetNodes") == 3)
        agents_expect(bench, 125 * MB, *NODES)
        one_life(lambda: ordered(bench) == {*NODES, SPARES[0]})
        decided = scaling(bench)["observedAt"]
        one_life(lambda: scaling(bench)["observedAt"] > decided)
    scaled_once(bench)
    assert proxy.seen[fault]


def test_what_cannot_be_done_is_refused_with_the_way_out(faulty):
    bench, _ = faulty
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "pool"}
    ask(bench, "Auto", driver={"type": "ScaleSubresource", "target": target})

    async def said(request) -> str:
        async with connected() as api:
            with pytest.raises(Invalid) as refused:
                await request(api)
            return str(refused.value)

    async def driven() -> str:
        async with connected() as api:
            world = await observe(api, Mirror(), NAME, Release(agent_image="none"))
            return world.scale.refusal

    with reached_by(bench.kubeconfig), scaling_of(bench, "apps", "deployments"):
        secret = asyncio.run(said(lambda api: api.get(Key("v1", "Secret", "default", "any"))))
        unknown = asyncio.run(said(lambda api: api.list("example.com/v1", "Thing")))
        unscaled = asyncio.run(said(lambda api: api.get(Key("v1", "ConfigMap", "default", "any"), subresource="scale")))
        until(bench, "the right has come", lambda: "(403)" not in asyncio.run(driven()))
        missing = asyncio.run(driven())
    assert secret.startswith("the API server refuses to read Secret default/any (403):")
    assert unknown == "the cluster knows no Thing of example.com/v1: install the CRDs first"
    assert unscaled == "ConfigMap default/any has no /scale: name an object that has one"
    assert missing == "Deployment default/pool does not exist: check scaling.driver.target"


WITH_A_SCALE = {
    "StatefulSet": ("apps/v1", "statefulsets"),
    "MachineDeployment": ("cluster.x-k8s.io/v1beta1", "machinedeployments"),
}


@pytest.mark.parametrize("kind", WITH_A_SCALE)
def test_any_object_with_a_scale_is_read_and_written_where_the_chart_allows_it(faulty, kind):
    bench, _ = faulty
    api_version, plural = WITH_A_SCALE[kind]
    group = api_version.partition("/")[0]
    if kind == "MachineDeployment":
        bench.plane.kubectl("apply", "-f", "-", stdin=json.dumps(with_scale(group, kind, plural)))
        bench.plane.wait_served(f"{plural}.{group}")
    made = {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": "pool"},
        "spec": {"replicas": 3, **pods_of("pool")},
    }
    bench.plane.kubectl("apply", "-f", "-", stdin=json.dumps(made))
    ask(
        bench,
        "Auto",
        driver={"type": "ScaleSubresource", "target": {"apiVersion": api_version, "kind": kind, "name": "pool"}},
    )

    async def carried_out(plan: Plan) -> World:
        async with connected() as api:
            world = await observe(api, Mirror(), NAME, Release(agent_image="none"))
            outcome, error = await act.carry_out(api, world, plan, Refusals())
            assert (outcome.error, error) == ("", None)
            return world

    with reached_by(bench.kubeconfig), scaling_of(bench, group, plural):
        until(bench, "the right has come", lambda: asyncio.run(carried_out(Plan())).scale.refusal == "")
        assert asyncio.run(carried_out(Plan(replicas=5))).scale.replicas == 3
    assert bench.get(f"/apis/{api_version}/namespaces/default/{plural}/pool")["spec"]["replicas"] == 5


def pods_of(name: str) -> dict:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    return {"selector": {"matchLabels": labels}, "template": template}


def with_scale(group: str, kind: str, plural: str) -> dict:
    """As Cluster API has it: a number of machines behind `/scale`, and what else there is does not matter here."""
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    counted = {"specReplicasPath": ".spec.replicas", "statusReplicasPath": ".status.replicas"}
    version = {"name": "v1beta1", "served": True, "storage": True, "schema": {"openAPIV3Schema": anything}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "names": {"kind": kind, "plural": plural},
            "scope": "Namespaced",
            "versions": [{**version, "subresources": {"scale": counted}}],
        },
    }


KINDS: dict[str, Callable[[], Callable[[Asked], Fault]]] = {
    "lost answers": lambda: once_each("cut"),
    "429": lambda: every(3, "busy"),
    "500": lambda: every(3, "break"),
    "no connection": lambda: every(3, "refuse"),
    "timeouts": lambda: every(12, "hang"),
    "stale watches": lambda: watches("deaf"),
    "dropped watches": lambda: watches("drop"),
    "5 s latency": lambda: every(1, "slow"),
}


@contextlib.contextmanager
def kept_running(bench: Bench) -> Iterator[list[int]]:
    """As a kubelet would: an operator that ended itself, because it could not renew its Lease, starts again. Yields the
    exit codes."""
    codes: list[int] = []
    over = threading.Event()

    def keep() -> None:
        while not over.is_set():
            codes.append(bench.operator("op").wait())

    keeper = threading.Thread(target=keep, daemon=True)
    keeper.start()
    try:
        yield codes
    finally:
        over.set()
        for process in bench.operators:
            process.kill()
        keeper.join(60)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", KINDS)
def test_it_converges_scales_once_and_asks_for_no_more_than_it_may(faulty, kind):
    bench, proxy = faulty
    proxy.choose = KINDS[kind]()
    proxy.seen.clear()
    began = time.monotonic()
    with kept_running(bench) as codes:
        front(bench, "Auto")
        calm(bench)
        rises(bench)
        took_s, ended = time.monotonic() - began, list(codes)
    asked = sum(proxy.seen[each] for each in ("reads", "writes", "watches"))
    sys.stdout.write(f"{kind}: {60 * asked / took_s:.0f} requests a minute for {took_s:.0f} s: {dict(proxy.seen)}\n")
    assert set(ended) <= {LEASE_LOST_CODE}, "what it cannot go on with is the loss of its Lease, and nothing else"
    assert asked <= MOST_REQUESTS_PER_S * took_s + 100, f"a storm: {dict(proxy.seen)} in {took_s:.0f} s"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_processes_hand_over_and_the_last_one_finishes(faulty):
    """As `killed_from`, with processes, their Lease and SIGKILL: two replicas, of which a dead one is replaced."""
    bench, proxy = faulty
    numbers = itertools.count(1)
    alive = {}
    told = once_each("cut")

    def start() -> None:
        name = f"replica-{next(numbers)}"
        alive[name] = bench.operator(name)

    def killed(asked: Asked) -> None:
        holder = bench.get(LEASE)["spec"]["holderIdentity"]
        alive[holder].kill()

    start()
    start()
    front(bench, "Auto")
    calm(bench)
    proxy.choose, proxy.lost = told, killed
    agents_expect(bench, 125 * MB, *NODES)
    deaths = 0
    while deaths < MOST_DEATHS and ordered(bench) != {*NODES, SPARES[0]}:
        for name in [name for name, process in alive.items() if process.poll() is not None]:
            del alive[name]
            deaths += 1
            start()
        time.sleep(0.5)
    proxy.lost = lambda _: None
    proxy.choose = lambda _: ""
    agents_expect(bench, 125 * MB, *NODES)
    until(bench, "it has orders", lambda: ordered(bench) == {*NODES, SPARES[0]})
    decided_again(bench)
    scaled_once(bench)
    assert deaths
    sys.stdout.write(f"{deaths} leaders killed\n")
