"""The chart: what helm makes of it, and what a real API server says to that."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from sentinel_api.names import MESH_SIGNER
from sentinel_operator.authority import SECRET
from support.cluster.binaries import binary

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy/helm/sentinel"
SYSTEM = "sentinel-system"
MANIFESTS = ROOT / "deploy/manifests/sentinel.yaml"
UPGRADE_PAGE = ROOT / "docs/how-to/install-and-upgrade.md"

NO_MESH = {"mesh": {"port": 0}}
VALUES = {
    "defaults": {},
    "everything set": {
        "image": {"operator": "mirror.test/o", "agent": "mirror.test/a", "tag": "1.2.3", "pullPolicy": "Always"},
        "operator": {
            "replicas": 3,
            "resources": {"limits": {"memory": "1Gi"}},
            "nodeSelector": {"pool": "system"},
            "tolerations": [{"key": "dedicated", "operator": "Exists"}],
        },
        "bpffs": "/run/sentinel/bpf",
        "mesh": {"port": 7447, "zones": True},
        "networkPolicy": False,
        "externalScaler": {"port": 6000},
        "monitoring": {"dashboards": True, "ruleLabels": {"release": "prometheus"}},
    },
    "one replica": {"operator": {"replicas": 1}},
    "a mesh in the clear": {"mesh": {"port": 7447, "tls": {"mode": "none"}}},
    "no mesh": NO_MESH,
}


def helm(verb: str, *args: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Without a cluster to ask, helm has to be told which Kubernetes it renders for."""
    argv = [str(binary("helm")), verb, "--kube-version=1.34.4", *args]
    return subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)


def rendered(values) -> str:
    done = helm("template", "sentinel", str(CHART), "-n", SYSTEM, "-f", "-", stdin=json.dumps(values))
    assert done.returncode == 0, done.stderr
    return done.stdout


def of_kind(values, kind):
    return [each for each in yaml.safe_load_all(rendered(values)) if each and each["kind"] == kind]


def test_helm_finds_nothing_to_complain_about():
    done = helm("lint", "--strict", str(CHART))
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES.keys())
def test_the_api_server_takes_everything_the_chart_makes(kinds, values):
    kinds.plane.kubectl("create", "namespace", SYSTEM, check=False)
    # A dry run keeps nothing, and the pod of `helm test` is refused without its account.
    kinds.plane.kubectl("create", "serviceaccount", "sentinel-operator", "-n", SYSTEM, check=False)
    done = kinds.plane.kubectl("apply", "--dry-run=server", "-f", "-", stdin=rendered(values), check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"operator": {"replicas": 0}}, "replicas"),
        ({"image": {"pullPolicy": "Sometimes"}}, "pullPolicy"),
        ({"bpffs": "relative"}, "bpffs"),
        ({"imagee": {}}, "imagee"),
        ({"mesh": {"port": 70_000}}, "port"),
        ({"mesh": {"tls": {"mode": "off"}}}, "mode"),
        ({"mesh": {"zones": "yes"}}, "zones"),
    ],
)
def test_a_mistaken_value_is_refused_by_its_name(values, sentence):
    done = helm("template", "sentinel", str(CHART), "-f", "-", stdin=json.dumps(values))
    assert done.returncode != 0
    assert sentence in done.stderr


def test_the_operator_runs_without_any_privilege():
    (deployment,) = of_kind({}, "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


def test_the_operator_can_hand_on_nothing_but_the_roles_of_its_agents_and_members():
    (role,) = [each for each in of_kind({}, "ClusterRole") if each["metadata"]["name"] == "sentinel-operator"]
    assert not any("*" in rule[part] for rule in role["rules"] for part in ("apiGroups", "resources", "verbs"))
    assert not any("escalate" in rule["verbs"] for rule in role["rules"])
    (bind,) = [rule for rule in role["rules"] if "bind" in rule["verbs"]]
    assert bind["resourceNames"] == ["sentinel-agent", "sentinel-agent-config", "sentinel-mesh-member"]


def test_zones_are_asked_for_and_never_a_default():
    def said(values):
        (deployment,) = of_kind(values, "Deployment")
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        return {each["name"]: each.get("value") for each in container["env"]}.get("SENTINEL_MESH_ZONES")

    assert said({}) is None
    assert said({"mesh": {"zones": True}}) == "true"


def secured(mode):
    return {"mesh": {"port": 7447, "tls": {"mode": mode}}}


@pytest.mark.parametrize("values", [NO_MESH, secured("none")], ids=["no mesh", "in the clear"])
def test_without_certificates_the_operator_has_no_right_to_them(values):
    text = rendered(values)
    assert "certificatesigningrequests" not in text
    assert "sentinel-mesh" not in text
    assert "fsGroup" not in text


@pytest.mark.parametrize("mode", ["self-signed", "cert-manager", "secret"])
def test_a_secured_mesh_needs_one_secret_and_few_rights(mode):
    (deployment,) = of_kind(secured(mode), "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    (volume,) = (each["secret"] for each in pod["volumes"] if "secret" in each)
    assert volume == {"secretName": SECRET, "defaultMode": 0o440}
    roles = {each["metadata"]["name"]: each["rules"] for each in of_kind(secured(mode), "ClusterRole")}
    (signers,) = (rule for rule in roles["sentinel-operator"] if "signers" in rule["resources"])
    assert signers["resourceNames"] == [MESH_SIGNER]
    assert not any("secrets" in rule["resources"] for rules in roles.values() for rule in rules)
    (member,) = roles["sentinel-mesh-member"]
    assert (member["resources"], member["verbs"]) == (["certificatesigningrequests"], ["create", "get"])
    (bind,) = (rule for rule in roles["sentinel-operator"] if "bind" in rule["verbs"])
    assert bind["resourceNames"] == ["sentinel-agent", "sentinel-agent-config", "sentinel-mesh-member"]


def test_the_job_that_makes_the_authority_may_make_secrets_and_nothing_else():
    (job,) = of_kind(secured("self-signed"), "Job")
    pod = job["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["command"][1:] == ["-m", "sentinel_operator.authority"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    (role,) = (
        each
        for each in of_kind(secured("self-signed"), "Role")
        if each["metadata"]["name"] == pod["serviceAccountName"]
    )
    assert role["rules"] == [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]}]
    assert not of_kind(secured("secret"), "Job")


def test_cert_manager_keeps_the_authoritys_key_so_that_what_it_signed_stays_good():
    (made,) = of_kind(secured("cert-manager"), "Certificate")
    assert (made["spec"]["isCA"], made["spec"]["secretName"]) == (True, SECRET)
    assert made["spec"]["privateKey"]["rotationPolicy"] == "Never"
    assert not of_kind(secured("cert-manager"), "Job")


def test_dashboards_arrive_as_they_were_made():
    found = {name: text for each in of_kind({"monitoring": {"dashboards": True}}, "ConfigMap")
             for name, text in each.get("data", {}).items()}  # fmt: skip
    made = {path.name: json.loads(path.read_text()) for path in (ROOT / "deploy/grafana").glob("*.json")}
    assert {name: json.loads(text) for name, text in found.items()} == made


def test_rules_go_to_the_prometheus_operator_where_there_is_one():
    values = json.dumps({"monitoring": {"ruleLabels": {"release": "p"}}})
    known = "--api-versions=monitoring.coreos.com/v1/PrometheusRule"
    done = helm("template", "sentinel", str(CHART), "-f", "-", known, stdin=values)
    (rule,) = (each for each in yaml.safe_load_all(done.stdout) if each and each["kind"] == "PrometheusRule")
    assert rule["metadata"]["labels"]["release"] == "p"
    plain = yaml.safe_load((ROOT / "deploy/prometheus/sentinel.rules.yaml").read_text())
    assert rule["spec"] == plain
    assert not of_kind({}, "PrometheusRule")


def test_the_plain_manifests_are_the_chart_with_its_defaults():
    done = subprocess.run([ROOT / "tools/manifests.sh", "--check"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_api_server_takes_the_plain_manifests(kinds):
    kinds.plane.kubectl("create", "namespace", SYSTEM, check=False)
    argv = ("apply", "--server-side", "--force-conflicts", "--dry-run=server", "-f", str(MANIFESTS))
    done = kinds.plane.kubectl(*argv, check=False)
    assert done.returncode == 0, done.stderr


def test_newer_definitions_come_by_the_command_that_the_page_gives(kinds):
    """Helm leaves definitions alone in an upgrade. What helm installed once, and who wrote objects by it, is here."""
    command = re.search(r"^kubectl (apply .*crds.*)$", UPGRADE_PAGE.read_text(), re.MULTILINE)
    old = yaml.safe_load((ROOT / "crds/sentinel.io_bufferclusters.yaml").read_text())
    path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/bufferclusters.sentinel.io"
    spec = old["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    del spec["properties"]["paused"], spec["default"]["paused"]
    query = "?fieldManager=helm&force=true"
    kind = "application/apply-patch+yaml"
    status, answer = kinds.plane.request("PATCH", path + query, old, content_type=kind)
    assert status == 200, answer
    kept = {"apiVersion": "sentinel.io/v1alpha1", "kind": "BufferCluster", "metadata": {"name": "kept"}, "spec": {}}
    try:
        assert kinds.create(kept)[0] == 201
        assert command is not None
        kinds.plane.kubectl(*command[1].replace("crds/", f"{ROOT}/crds/").split())
        _, found = kinds.plane.request("GET", path)
        schema = found["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
        assert "paused" in schema["properties"]["spec"]["properties"]
        assert kinds.get("BufferCluster", "kept")["metadata"]["name"] == "kept"
    finally:
        kinds.delete("BufferCluster", "kept")
        kinds.plane.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(ROOT / "crds"))


def test_helm_test_asks_with_the_operators_image_and_rights():
    (pod,) = of_kind({"image": {"operator": "mirror.test/o", "tag": "9"}}, "Pod")
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    assert pod["spec"]["serviceAccountName"] == "sentinel-operator"
    (container,) = pod["spec"]["containers"]
    assert container["image"] == "mirror.test/o:9"
    assert container["command"][1:] == ["-m", "sentinel_operator.selftest"]
    (deployment,) = of_kind({}, "Deployment")
    selected = deployment["spec"]["selector"]["matchLabels"].items()
    assert not selected <= pod["metadata"]["labels"].items(), "the Deployment would take it for a replica"


def test_what_helm_tests_with_is_no_part_of_the_plain_manifests():
    assert "helm.sh/hook" not in MANIFESTS.read_text()
