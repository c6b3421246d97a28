"""A fleet whose agents the test plays, for operators that scale it: three nodes with the role, and three spares."""

import json
from datetime import UTC, datetime, timedelta

from sentinel_api.names import ROLE_BUFFER, ROLE_LABEL
from support.operators import FRONT, GROUP, SYSTEM, Bench, until

MB = 1_000_000
CAPACITY = 100 * MB
NODES = ("n1", "n2", "n3")
SPARES = ("s1", "s2", "s3")


def make_nodes(bench: Bench) -> None:
    """Those that are there already get ready too."""
    ready = {"conditions": [{"type": "Ready", "status": "True", "reason": "Test", "message": ""}]}
    for name in (*NODES, *SPARES):
        labels = {ROLE_LABEL: ROLE_BUFFER} if name in NODES else {}
        bench.plane.request("POST", "/api/v1/nodes", {"metadata": {"name": name, "labels": labels}})
        path = f"/api/v1/nodes/{name}/status"
        merge = "application/merge-patch+json"
        assert bench.plane.request("PATCH", path, {"status": ready}, content_type=merge)[0] == 200


def empty(bench: Bench) -> None:
    """No cluster is left, and every spare is spare again; the operators must be gone by then."""
    freed = '{"metadata":{"finalizers":null}}'
    bench.plane.kubectl("patch", "bufferclusters", "front", "--type=merge", "-p", freed, check=False)
    bench.plane.kubectl("delete", "bufferclusters,buffernodes,daemonsets", "--all", "--timeout=240s", check=False)
    bench.plane.kubectl("delete", "lease", "-n", SYSTEM, "--all", check=False)
    mine = (f"{ROLE_LABEL}-", "sentinel.io/cluster-")
    bench.plane.kubectl("label", "node", *SPARES, *mine, check=False)


def front(bench: Bench, mode: str, **scaling) -> None:
    ask(bench, mode, **scaling)
    until(bench, "the nodes have orders", lambda: ordered(bench) >= set(NODES))


def ask(bench: Bench, mode: str, **scaling) -> None:
    rules = {"mode": mode, "intervalSeconds": 1, "nodeCapacityBytesPerSecond": CAPACITY, "headroomPercent": 0}
    body = {
        "apiVersion": "sentinel.io/v1alpha1",
        "kind": "BufferCluster",
        "metadata": {"name": "front"},
        "spec": {"scaling": {**rules, **scaling}},
    }
    bench.plane.kubectl("apply", "-f", "-", stdin=json.dumps(body))


def ordered(bench: Bench) -> set[str]:
    found = bench.get(f"{GROUP}/buffernodes") or {"items": []}  # a new CRD is served a moment after it is established
    return {node["metadata"]["name"] for node in found["items"]}


def forbid_orders(bench: Bench) -> None:
    """The operator may read its nodes' orders, and no longer write them."""
    role = json.loads(bench.plane.kubectl("get", "clusterrole", "sentinel-operator", "-o", "json").stdout)
    numbers = [number for number, rule in enumerate(role["rules"]) if "buffernodes" in rule["resources"]]
    reading = ["get", "list", "watch"]
    changes = [{"op": "replace", "path": f"/rules/{number}/verbs", "value": reading} for number in numbers]
    bench.plane.kubectl("patch", "clusterrole", "sentinel-operator", "--type=json", "-p", json.dumps(changes))
    until(bench, "it may write no orders", lambda: not bench.may("patch", "buffernodes", "sentinel.io"))


def ask_of_pool(bench: Bench, mebibytes: int) -> None:
    """Another pool makes another configuration, and so other orders."""
    bench.plane.kubectl(
        "patch", "bufc", "front", "--type=merge", "-p", json.dumps({"spec": {"pool": {"maxBytes": mebibytes << 20}}})
    )


def agents_expect(bench: Bench, each: int, *nodes: str, after: timedelta = timedelta(), **said) -> None:
    """Every node's agent carries half of what it expects in two minutes; `after`: it will say so only then."""
    for name in nodes:
        now = (datetime.now(UTC) + after).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        points = [{"horizonSeconds": 120, "p50": each, "p95": each}]
        forecast = {"seq": 1, "observedAt": now, "demandBytesPerSecond": each // 2, "points": points}
        bench.agent_says(name, forecast=forecast, **said)


def taken(bench: Bench) -> list[str]:
    found = bench.get("/api/v1/nodes")["items"]
    return sorted(n["metadata"]["name"] for n in found if n["metadata"].get("labels", {}).get(ROLE_LABEL) == "buffer")


def scaling(bench: Bench):
    return (bench.get(FRONT) or {}).get("status", {}).get("scaling", {})


def decided_again(bench: Bench) -> None:
    """Two whole decisions after now have been written down."""
    for _ in range(2):
        before = scaling(bench).get("observedAt")
        until(bench, "the next decision", lambda before=before: scaling(bench).get("observedAt") != before)
