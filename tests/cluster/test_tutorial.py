"""The tutorial's parts about clusters, line by line, against a real API server."""

import json
import re
import shlex
import subprocess
from pathlib import Path

import yaml

from support.cluster import kind
from support.cluster.binaries import binary
from support.cluster.provider import node_specs

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "docs/tutorial/first-steps.md"
WORKERS = kind.node_names("kind", 2)


def part(number: int) -> str:
    return TUTORIAL.read_text().split(f"\n## {number}. ")[1].split("\n## ")[0]


def lines(number: int, *programs: str) -> list[str]:
    return [line.split(" #")[0].strip() for line in part(number).splitlines() if line.startswith(programs)]


def test_the_tutorials_cluster_commands_do_what_it_says(kinds):
    said = [run(kinds, line) for line in lines(2, "kubectl ")]
    assert len(said) == 5
    *fine, broken = said
    assert all(each.returncode == 0 for each in fine), [each.stderr for each in fine]
    assert "front" in fine[2].stdout
    assert broken.returncode != 0, "the tutorial says that the API server refuses this"
    assert re.search(r"min.*max|max.*min", broken.stderr)
    assert "kubectl delete -f deploy/examples/buffercluster.yaml" in part(2)
    assert run(kinds, "kubectl delete -f deploy/examples/buffercluster.yaml").returncode == 0


def test_what_it_does_on_kind_the_server_takes(kinds):
    """Installed for a trial only: rights and policies of a whole Sentinel would be in the way of other tests."""
    assert any("deploy/examples/kind.yaml" in line for line in lines(3, "kind create"))
    (install,) = lines(3, "helm ")
    _, *words = shlex.split(install)
    # What another test made there without helm is nobody's fault here.
    trial = ("--dry-run=server", "--take-ownership")
    argv = [binary("helm"), "--kubeconfig", kinds.plane.kubeconfig, *at_root(words), *trial]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "image: sentinel.test/operator:dev" in done.stdout.replace('"', "")
    for name in WORKERS:
        kinds.plane.request("POST", "/api/v1/nodes", {"metadata": {"name": name}})
    try:
        for line in lines(3, "kubectl "):
            assert run(kinds, line).returncode == 0, line
        labelled = json.loads(run(kinds, "kubectl get nodes -l sentinel.io/role=buffer -o json").stdout)["items"]
        assert {each["metadata"]["name"] for each in labelled} >= set(WORKERS)
    finally:
        run(kinds, f"kubectl delete node {' '.join(WORKERS)}")
        run(kinds, "kubectl delete -f deploy/examples/buffercluster.yaml")


def test_the_cluster_of_kind_is_as_our_own_tests_would_make_it():
    ours = yaml.safe_load(kind.config(node_specs(2)))
    for node in ours["nodes"]:
        node.pop("labels", None)
    assert yaml.safe_load((ROOT / "deploy/examples/kind.yaml").read_text()) == ours


def run(kinds, line: str) -> subprocess.CompletedProcess[str]:
    _, *words = shlex.split(line)
    return kinds.plane.kubectl(*at_root(words), check=False)


def at_root(words: list[str]) -> list[str]:
    return [str(ROOT / word) if word.startswith(("crds/", "deploy/")) else word for word in words]
