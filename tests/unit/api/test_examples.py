"""The examples are valid, the short one is short, and the long one leaves nothing out."""

import re
from pathlib import Path

import pytest
import yaml

from sentinel_api import crdgen
from sentinel_api.v1alpha1.buffercluster import BufferCluster

EXAMPLES = Path(__file__).resolve().parents[3] / "deploy" / "examples"
FULL = EXAMPLES / "buffercluster-full.yaml"


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("buffercluster*.yaml")), ids=lambda path: path.name)
def test_an_example_is_valid_and_says_nothing_unknown(path):
    text = yaml.safe_load(path.read_text())
    cluster = BufferCluster.parse(text)
    assert _paths(text["spec"]) <= _paths(cluster.wire()["spec"])


def test_ten_lines_make_a_cluster():
    assert len((EXAMPLES / "buffercluster.yaml").read_text().splitlines()) <= 10


def test_the_full_example_shows_every_field():
    schema = crdgen.crd(BufferCluster)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    assert _fields(schema) - _paths(yaml.safe_load(FULL.read_text())["spec"]) == set()


def test_the_full_example_explains_every_value_where_it_first_appears():
    seen = set()
    for name, comment in re.findall(r"^[ -]+(\w+): [^#\s][^#]*(#.*)?$", FULL.read_text(), re.MULTILINE):
        assert comment or name in seen, name
        seen.add(name)
    assert len(seen) > 60


def _fields(schema, path=""):
    """Every field of a schema, as `scaling.driver.type`; lists do not show."""
    found = set()
    for name, below in schema.get("properties", {}).items():
        found |= {f"{path}{name}"} | _fields(below.get("items", below), f"{path}{name}.")
    return found


def _paths(value, path=""):
    if isinstance(value, list):
        return set().union(*(_paths(item, path) for item in value))
    if not isinstance(value, dict):
        return set()
    found = set()
    for name, below in value.items():
        found |= {f"{path}{name}"} | _paths(below, f"{path}{name}.")
    return found
