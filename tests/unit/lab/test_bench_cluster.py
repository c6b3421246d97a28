"""The figures of one node beside three, from what was counted."""

import pytest

from sentinel_lab.bench.cluster import FAMILIES, figures
from sentinel_lab.bench.speaker import longest_silence
from sentinel_lab.failover import plan


def row(served, availability):
    return {
        "served_bits_per_s": served,
        "availability": availability,
        "drop_share": 0.1,
        "product_cpu_s_per_gb": 2.0,
    } | dict.fromkeys(FAMILIES, served)


def test_three_nodes_are_measured_by_one():
    found = figures({1: row(4e6, 0.6), 3: row(11e6, 1.0)})
    assert found["speedup_3"] == pytest.approx(2.75)
    assert (found["availability_1"], found["availability"]) == (0.6, 1.0)
    assert (found["bulk_v6_bits_per_s_1"], found["bulk_v6_bits_per_s_3"]) == (4e6, 11e6)


def test_a_node_has_the_rate_that_a_bench_asks_for():
    (interface,) = plan.agent(4_000_000)["dataPlane"]["interfaces"]
    assert interface["rateBitsPerSecond"] == 4_000_000


def test_the_longest_silence_is_told_by_when_packets_were_sent():
    assert longest_silence([]) == longest_silence([5]) == 0
    assert longest_silence([30, 10, 12, 14, 31]) == 16
