"""What the mesh of a node tells Prometheus."""

from types import SimpleNamespace

import pytest

from sentinel_agent.described import FAMILIES
from sentinel_agent.mesh import MeshCollector
from sentinel_lab.bench.mesh_authority import Authority
from sentinel_mesh.roster import View


def test_what_is_left_of_the_certificate_is_a_metric_and_nothing_where_there_is_none(tmp_path):
    mesh = SimpleNamespace(view=lambda: View(0, {}, {}), sent=0, unsent=0, renewed=0, trouble="")

    def told(credentials) -> list[float]:
        families = {each.name: each for each in MeshCollector(mesh, credentials).collect()}
        assert families.keys() <= FAMILIES.keys()
        found = families.get("sentinel_mesh_certificate_left")
        return [sample.value for sample in found.samples] if found else []

    own = Authority(tmp_path).issue("n1")  # valid for a day before now, and one after
    assert told(own) == [pytest.approx(0.5, abs=0.01)]
    own.certificate.write_text("no certificate")
    assert told(own) == told(None) == []
