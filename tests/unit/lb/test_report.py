"""What a balancer tells of zones: how many of each zone's nodes speak, and what they carry."""

from sentinel_api.records import Digest
from sentinel_lb.report import _zones


def test_a_zone_is_told_by_those_of_its_nodes_that_speak():
    found = {
        sample.name: (sample.labels["zone"], sample.value)
        for family in _zones({"east": Digest(7, 1, nodes=100, fresh_nodes=99, demand_now=4096)})
        for sample in family.samples
    }
    assert found == {
        "sentinel_lb_zone_nodes": ("east", 99),
        "sentinel_lb_zone_demand_bytes_per_second": ("east", 4096),
    }
