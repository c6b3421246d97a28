"""Alarms save the later nodes their drops where bursts follow each other, and cost nothing where they do not."""

import pytest

from sentinel_lab.bench.mesh_sharing import NODES, sharing

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]  # nodes of the product, twice, for minutes
PAIR = NODES[:2]


def test_later_nodes_drop_half_as_much_when_bursts_follow_each_other():
    found = sharing(170, 1, correlated=True, warm_up_s=60, nodes=PAIR)
    assert found.alone["second"] > 0
    assert found.reduction("second") >= 0.5
    assert found.usefulness > 0.5


def test_bursts_that_have_nothing_to_do_with_each_other_do_no_harm():
    found = sharing(170, 1, correlated=False, warm_up_s=60, nodes=PAIR)
    assert sum(found.alone.values()) > 0
    assert found.reduction(*PAIR) >= -0.01
