"""The operator as a process of its own against a real API server: one resource in, objects and a status out."""

import json
import signal
import tarfile
from collections.abc import Iterator

import pytest
import yaml
from click.testing import CliRunner

from sentinel_api.errors import Invalid
from sentinel_api.names import CLUSTER_LABEL, FINALIZER, LOAD_BALANCER_CLASS, ROLE_BUFFER, ROLE_LABEL
from sentinel_cli.cluster import commands
from sentinel_operator.observe import _node_of
from support import audited
from support.operators import EXAMPLE, FRONT, GROUP, PATIENCE_S, SYSTEM, Bench, rights, running, until

ANY_TAINT = [{"operator": "Exists"}]
"""Nobody runs these nodes, so the controllers soon taint them, and a DaemonSet would make no pods there."""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, control_plane) -> Iterator[Bench]:  # its skip is ours too
    with running(tmp_path_factory.mktemp("operator")) as here:
        yield here


@pytest.fixture
def front(bench: Bench) -> Iterator[Bench]:
    """The ten-line cluster under one operator; both are gone afterwards."""
    bench.operator("op")
    bench.plane.kubectl("apply", "-f", str(EXAMPLE))
    yield bench
    for process in bench.operators:  # first, or one would put its finalizer back
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_S)
    freed = '{"metadata":{"finalizers":null}}'
    bench.plane.kubectl("patch", "bufferclusters", "front", "--type=merge", "-p", freed, check=False)
    bench.plane.kubectl("delete", "bufferclusters,buffernodes,daemonsets", "--all", "--timeout=240s", check=False)


def test_ten_lines_become_agents_orders_and_a_ready_status_and_leave_nothing(front):
    until(front, "agents are ordered", lambda: front.get("/apis/apps/v1/namespaces/default/daemonsets/front-agent"))
    until(front, "three orders", lambda: len(ordered(front)) == 3)
    until(front, "it waits for agents", lambda: front.condition("Ready") == ("False", "AgentsNotReady"))
    node = front.get("/api/v1/nodes/n1")
    assert node["metadata"]["labels"][CLUSTER_LABEL] == "default.front"
    config = front.get(f"{GROUP}/buffernodes/n1")["spec"]["configDigest"].removeprefix("sha256:")[:12]
    assert front.get(f"/api/v1/namespaces/default/configmaps/front-config-{config}")["immutable"]

    for name in ("n1", "n2", "n3"):
        front.agent_says(name)
    until(front, "it is ready", lambda: front.condition("Ready") == ("True", "AllAgentsReady"))
    status = front.get(FRONT)["status"]
    assert (status["nodes"], status["readyNodes"], status["tiers"]["b"]) == (3, 3, 3)
    assert status["classIds"] == {"chat": 1, "orders": 2}

    front.plane.kubectl("delete", "bufferclusters", "front", "--wait=false")
    orders = f"{GROUP}/buffernodes/n1"
    until(front, "agents are told to hand back", lambda: front.get(orders)["spec"]["desiredState"] == "Detached")
    assert FINALIZER in front.get(FRONT)["metadata"]["finalizers"], "it must not go before the agents have answered"
    for name in ("n1", "n2", "n3"):
        front.agent_says(name, state="Detached")
    until(front, "the cluster is gone", lambda: front.get(FRONT) is None)
    until(front, "orders are gone", lambda: not front.get(f"{GROUP}/buffernodes")["items"])
    until(front, "agents are gone", lambda: not front.get("/apis/apps/v1/namespaces/default/daemonsets")["items"])
    assert CLUSTER_LABEL not in front.get("/api/v1/nodes/n1")["metadata"]["labels"]


def test_drift_is_repaired_and_foreign_fields_stay(front):
    daemonset = "/apis/apps/v1/namespaces/default/daemonsets/front-agent"
    service = "/api/v1/namespaces/default/services/front-agents"
    until(front, "agents are ordered", lambda: front.get(daemonset) and front.get(service))
    front.plane.kubectl("annotate", "ds", "front-agent", "example.com/mine=1")
    front.plane.kubectl("delete", "service", "front-agents")
    front.plane.kubectl("annotate", "bufferclusters", "front", "example.com/look=again")
    until(front, "the Service is back", lambda: front.get(service))
    assert front.get(daemonset)["metadata"]["annotations"]["example.com/mine"] == "1"


def obeyed(front: Bench, *names: str, **said) -> None:
    """Those agents run what they are ordered."""
    for name in names:
        front.agent_says(name, **said)


def ordered(front: Bench) -> dict[str, str]:
    found = front.get(f"{GROUP}/buffernodes") or {"items": []}  # a new CRD is served a moment after it is established
    return {node["metadata"]["name"]: node["spec"]["configDigest"] for node in found["items"]}


def rollout(front: Bench) -> dict:
    return (front.get(FRONT) or {}).get("status", {}).get("rollout", {})


def pods(front: Bench) -> set[str]:
    agents = front.get("/api/v1/namespaces/default/pods?labelSelector=app.kubernetes.io/component=agent")
    return {pod["metadata"]["uid"] for pod in agents["items"]}


def test_a_change_goes_out_by_a_canary_and_back_by_itself_when_it_drops(front):
    until(front, "three orders", lambda: len(ordered(front)) == 3)
    strategy = {"spec": {"agent": {"updateStrategy": {"soakSeconds": 1}, "tolerations": ANY_TAINT}}}
    front.plane.kubectl("patch", "bufc", "front", "--type=merge", "-p", json.dumps(strategy))
    until(front, "three pods", lambda: len(pods(front)) == 3)
    obeyed(front, "n1", "n2", "n3")
    until(front, "it is out", lambda: rollout(front).get("good"))
    before, old_pods = ordered(front), pods(front)

    change = {"spec": {"pool": {"maxBytes": 20_000_000}, "agent": {"logLevel": "Debug"}}}
    front.plane.kubectl("patch", "bufc", "front", "--type=merge", "-p", json.dumps(change))
    until(front, "one node changes", lambda: ordered(front) != before)
    until(front, "one pod is made anew", lambda: len(pods(front)) == 3 and len(pods(front) - old_pods) == 1)
    assert [name for name, digest in ordered(front).items() if digest != before[name]] == ["n1"]
    until(front, "it says so", lambda: rollout(front)["phase"] == "Canary")
    obeyed(front, "n1")
    for number, name in enumerate(("n2", "n3"), start=2):
        until(front, f"{name} follows", lambda name=name: ordered(front)[name] != before[name])
        until(front, "its pod too", lambda number=number: len(pods(front) - old_pods) == number)
        obeyed(front, name)
    until(front, "all have changed", lambda: rollout(front)["phase"] == "Done")
    good = ordered(front)

    bad = {"spec": {"pool": {"maxBytes": 30_000_000}, "agent": {"updateStrategy": {"soakSeconds": 3600}}}}
    front.plane.kubectl("patch", "bufc", "front", "--type=merge", "-p", json.dumps(bad))
    until(front, "one node changes", lambda: ordered(front) != good)
    obeyed(front, "n1")
    until(front, "it is watched", lambda: rollout(front)["phase"] == "Soaking")
    buffer = {"poolBytes": 1, "grantedBytes": 1, "heldBytes": 0, "droppedPackets": 5000}
    obeyed(front, "n1", buffer=buffer)
    front.plane.kubectl("annotate", "bufc", "front", "example.com/look=now")
    until(front, "the old orders are back", lambda: ordered(front) == good)
    obeyed(front, "n1", buffer=buffer)
    until(front, "it is held", lambda: rollout(front)["phase"] == "Held")
    assert front.condition("Degraded") == ("True", "RolloutFailed")


def images(front: Bench) -> dict[str, str]:
    """Of the agent's pod on each node; nobody places them, so the node is the one each was made for."""
    made = front.get("/api/v1/namespaces/default/pods?labelSelector=app.kubernetes.io/component=agent")["items"]
    return {_node_of(pod): pod["spec"]["containers"][0]["image"] for pod in made if not leaving(pod)}


def leaving(pod: dict) -> bool:
    return "deletionTimestamp" in pod["metadata"]


OLD, NEW = "sentinel.test/agent:1", "sentinel.test/agent:2"


@pytest.mark.slow
def test_a_newer_operator_replaces_agents_one_by_one_while_both_versions_are_alive(front):
    until(front, "three orders", lambda: len(ordered(front)) == 3)
    strategy = {"spec": {"agent": {"updateStrategy": {"soakSeconds": 1}, "tolerations": ANY_TAINT}}}
    front.plane.kubectl("patch", "bufc", "front", "--type=merge", "-p", json.dumps(strategy))
    until(front, "three pods", lambda: list(images(front).values()) == [OLD] * 3)
    obeyed(front, "n1", "n2", "n3", versions={"agent": "1.0.0"})
    until(front, "it is out", lambda: rollout(front).get("good"))
    until(front, "it is ready", lambda: front.condition("Ready") == ("True", "AllAgentsReady"))
    orders = ordered(front)
    for process in front.operators:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_S)

    newer = front.operator("newer", NEW)
    for count, name in enumerate(("n1", "n2", "n3"), start=1):
        until(front, f"the agent of {name} is new", lambda name=name: images(front).get(name) == NEW)
        assert sorted(images(front).values()).count(NEW) <= count, "one at a time: the next waits for this one"
        assert ordered(front) == orders, "what nodes are asked for is the same, so old agents go on"
        assert front.condition("Degraded") == ("False", "AsExpected")
        obeyed(front, name, versions={"agent": "2.0.0"})
    until(front, "all are new", lambda: rollout(front)["phase"] == "Done")
    until(front, "it is ready", lambda: front.condition("Ready") == ("True", "AllAgentsReady"))
    newer.send_signal(signal.SIGTERM)
    newer.wait(PATIENCE_S)


def test_a_second_replica_waits_and_takes_over_when_the_leader_is_killed(front):
    until(front, "the first one leads", lambda: holder(front) == "op")
    second = front.operator_from_disk("op2")
    until(front, "the second one waits", lambda: "lease_wanted" in (front.folder / "op2.log").read_text())
    assert holder(front) == "op"
    next(p for p in front.operators if p is not second and p.poll() is None).kill()
    until(front, "the second one leads", lambda: holder(front) == "op2")
    front.plane.kubectl("label", "node", "n3", f"{ROLE_LABEL}-", "--overwrite")
    try:
        until(front, "it works", lambda: len(ordered(front)) == 2)
    finally:
        front.plane.kubectl("label", "node", "n3", f"{ROLE_LABEL}={ROLE_BUFFER}")
    second.terminate()
    assert second.wait(PATIENCE_S) == 0
    assert holder(front) == "", "whoever comes need not wait until it runs out"
    assert front.get(FRONT), "taking over must not cost the cluster"


def holder(bench: Bench) -> str:
    lease = bench.get(f"/apis/coordination.k8s.io/v1/namespaces/{SYSTEM}/leases/sentinel-operator")
    return lease["spec"].get("holderIdentity", "") if lease else ""


def kind_of_others(group: str, version: str, kind: str) -> dict:
    """A kind that other projects bring: any object of it is valid."""
    plural = f"{kind.lower()}s"
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{plural}.{group}",
            "annotations": {"api-approved.kubernetes.io": "unapproved, for a test"},
        },
        "spec": {
            "group": group,
            "names": {"kind": kind, "plural": plural},
            "scope": "Namespaced",
            "versions": [{"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": anything}}],
        },
    }


OTHERS = (("monitoring.coreos.com", "v1", "PodMonitor"), ("autoscaling.x-k8s.io", "v1alpha1", "CapacityBuffer"))


def test_the_chart_grants_what_is_used_and_nothing_more(bench):
    for other in OTHERS:
        bench.plane.kubectl("apply", "-f", "-", stdin=json.dumps(kind_of_others(*other)))
    bench.plane.wait_served(*(f"{kind.lower()}s.{group}" for group, _, kind in OTHERS))
    relics = [relic("v1", "ConfigMap", {}), relic("v1", "Service", {"clusterIP": "None"})]
    chosen = {"selector": {"matchLabels": {"app": "relic"}}}
    pod = {"metadata": {"labels": {"app": "relic"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    relics += [relic("apps/v1", kind, {**chosen, "template": pod}) for kind in ("DaemonSet", "Deployment")]
    relics += [relic("policy/v1", "PodDisruptionBudget", chosen), {**relic("v1", "PodTemplate", {}), "template": pod}]
    relics += [relic(f"{group}/{version}", kind, {}) for group, version, kind in OTHERS]
    bench.plane.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": relics}))
    process = bench.operator("rights")
    fronted = yaml.safe_load(EXAMPLE.read_text())
    fronted["spec"] |= {
        "nodes": 4,
        "agent": {"tolerations": ANY_TAINT},
        "loadBalancer": {"addressPool": ["192.0.2.0/24"]},
        "scaling": {"mode": "Auto", "min": 4, "intervalSeconds": 1, "driver": {"type": "CapacityBuffer"}},
    }
    bench.plane.kubectl("apply", "-f", "-", stdin=json.dumps(fronted))
    shop = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "shop"},
        "spec": {
            "type": "LoadBalancer",
            "loadBalancerClass": LOAD_BALANCER_CLASS,
            "externalTrafficPolicy": "Local",  # only then it matters where the endpoints are
            "ports": [{"port": 80}],
        },
    }
    bench.plane.kubectl("apply", "-f", "-", stdin=json.dumps(shop))
    until(bench, "the shop has an address", lambda: address(bench, "shop"))
    for api_version, kind in (("apps/v1", "Deployment"), ("monitoring.coreos.com/v1", "PodMonitor")):
        path = f"/apis/{api_version}/namespaces/default/{kind.lower()}s"
        until(bench, f"a {kind} is ours, and no relic is left", lambda path=path: all_ours(bench, path))
    room = "/apis/autoscaling.x-k8s.io/v1alpha1/namespaces/default/capacitybuffers/front-room"
    until(
        bench,
        "room for a fourth node is asked for",
        lambda: (bench.get(room) or {}).get("spec", {}).get("replicas") == 1,
    )
    until(bench, "three pods", lambda: len(pods(bench)) == 3)
    old = pods(bench)
    louder = {"spec": {"agent": {"logLevel": "Debug"}}}
    bench.plane.kubectl("patch", "bufc", "front", "--type=merge", "-p", json.dumps(louder))
    until(bench, "new pods", lambda: len(pods(bench)) == 3 and not pods(bench) & old)
    warnings = "/api/v1/namespaces/default/events?fieldSelector=reason=AgentsNotReady,type=Warning"
    until(bench, "a warning", lambda: bench.get(warnings)["items"])
    assert bench.condition("LoadBalancerReady") == ("False", "NoBalancer")
    bench.plane.kubectl("delete", "service", "shop")
    bench.plane.kubectl("delete", "bufc", "front", "--timeout=240s")
    process.send_signal(signal.SIGTERM)
    process.wait(PATIENCE_S)

    log, user = bench.plane.folder / "audit.jsonl", f"system:serviceaccount:{SYSTEM}:sentinel-operator"
    assert not audited.refused(log, user)
    granted, used = audited.granted(rights(), "sentinel-operator"), audited.used(log, user)
    assert (granted - used, used - granted) == (set(), set())


def address(bench: Bench, service: str) -> str:
    found = bench.get(f"/api/v1/namespaces/default/services/{service}")["status"]["loadBalancer"]
    return next((each["ip"] for each in found.get("ingress", [])), "")


def relic(api_version: str, kind: str, spec: dict) -> dict:
    """What an older operator would have left."""
    meta = {"name": "relic", "namespace": "default", "labels": {CLUSTER_LABEL: "default.front"}}
    return {"apiVersion": api_version, "kind": kind, "metadata": meta, **({"spec": spec} if spec else {})}


def all_ours(bench: Bench, path: str) -> bool:
    names = {item["metadata"]["name"] for item in bench.get(path)["items"]}
    return bool(names) and "relic" not in names


def test_the_example_in_the_readme_is_the_one_that_is_tested():
    assert len([line for line in EXAMPLE.read_text().splitlines() if line.strip()]) <= 10
    assert yaml.safe_load(EXAMPLE.read_text())["kind"] == "BufferCluster"


def test_kubectl_sentinel_tells_drains_pauses_and_packs(front, monkeypatch, tmp_path):
    # The library reads KUBECONFIG when it is imported, which another test may have done long ago.
    where = "kubernetes.aio.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION"
    monkeypatch.setattr(where, str(front.plane.kubeconfig))
    until(front, "three orders", lambda: len(ordered(front)) == 3)
    until(front, "a status", lambda: front.condition("Ready")[0])
    assert said(commands.status, "front").startswith("default/front: not ready")
    assert "n1    silent" in said(commands.status, "front")

    said(commands.drain, "n1")
    until(front, "n1 drains", lambda: front.get(f"{GROUP}/buffernodes/n1")["spec"]["desiredState"] == "Draining")
    said(commands.drain, "n1", "--undo")
    until(front, "n1 serves", lambda: front.get(f"{GROUP}/buffernodes/n1")["spec"]["desiredState"] == "Active")

    said(commands.pause, "front")
    until(front, "it is paused", lambda: front.condition("Ready") == ("False", "Paused"))
    assert "  paused:" in said(commands.status)
    said(commands.pause, "front", "--resume")
    until(front, "it is looked after", lambda: front.condition("Ready")[1] != "Paused")

    said(commands.report, "-o", str(tmp_path / "report.tar.gz"))
    with tarfile.open(tmp_path / "report.tar.gz") as packed:
        text = packed.extractfile("sentinel-report/objects/BufferCluster.yaml").read().decode()
        assert "sentinel-report/doctor.json" in packed.getnames()
        assert "sentinel-report/events.txt" in packed.getnames()
    assert "name: front" in text
    assert "192.0.2." not in text, "addresses are replaced"

    for command, wrong in ((commands.status, "gone"), (commands.drain, "gone"), (commands.pause, "gone")):
        with pytest.raises(Invalid, match="kubectl get"):
            CliRunner().invoke(command, [wrong], catch_exceptions=False)


def said(command, *arguments: str) -> str:
    done = CliRunner().invoke(command, list(arguments), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output
