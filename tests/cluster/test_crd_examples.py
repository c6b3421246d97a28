"""The CRDs are installed as written, the examples are accepted, and what is left out gets its default."""

from pathlib import Path

import pytest
import yaml

from sentinel_api.v1alpha1.buffercluster import BufferCluster, BufferClusterSpec

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "deploy" / "examples").glob("buffercluster*.yaml"))


@pytest.mark.parametrize("name", ["bufferclusters.sentinel.io", "buffernodes.sentinel.io"])
def test_the_server_has_nothing_to_say_against_a_crd(kinds, name):
    path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"
    _, installed = kinds.plane.request("GET", path)
    conditions = {one["type"]: one["status"] for one in installed["status"]["conditions"]}
    assert conditions == {"NamesAccepted": "True", "Established": "True"}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_an_example_is_accepted_without_a_warning(kinds, path):
    """Strict, so that a misspelt field would be refused."""
    done = kinds.plane.kubectl("apply", "--validate=strict", "-f", str(path))
    assert done.stderr == ""
    kinds.plane.kubectl("delete", "--wait=false", "-f", str(path))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_server_and_model_fill_in_the_same_defaults(kinds, path):
    body = yaml.safe_load(path.read_text())
    status, stored = kinds.create(body, dry_run=True)
    assert status == 201, stored
    assert stored["spec"] == BufferCluster.parse(body).wire()["spec"]


def test_a_cluster_of_nothing_but_a_name_gets_every_default(kinds):
    body = {"apiVersion": "sentinel.io/v1alpha1", "kind": "BufferCluster", "metadata": {"name": "bare"}}
    status, stored = kinds.create(body, dry_run=True)
    assert status == 201, stored
    assert stored["spec"] == BufferClusterSpec().wire()


def test_kubectl_shows_a_cluster_by_its_short_name_and_its_category(kinds):
    body = BufferCluster.parse({"metadata": {"name": "shown"}}).manifest()
    assert kinds.create(body)[0] == 201
    table = kinds.plane.kubectl("get", "bufc", "shown").stdout.splitlines()
    assert table[0].split() == ["NAME", "READY", "DESIRED", "NODES", "WORKING", "SCALING", "AGE"]
    assert table[1].split()[:3] == ["shown", "3", "Recommend"]
    assert "buffercluster.sentinel.io/shown" in kinds.plane.kubectl("get", "sentinel", "-o", "name").stdout
    kinds.delete("BufferCluster", "shown")


def test_kubectl_explains_every_field(kinds):
    told = kinds.plane.kubectl("explain", "bufferclusters.spec.pool.maxBytes").stdout
    assert "Size never exceeded, whatever is forecast." in told
