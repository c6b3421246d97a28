"""The queue of tier B on the way out, by tcx or by what stands in for it before 6.6."""

from __future__ import annotations

import pytest

from netns.test_egress import (  # noqa: F401
    plane,
    services,
    test_a_leaving_packet_waits_in_the_class_that_the_rules_give_its_flow,
    test_handed_back_the_device_is_as_it_was,
    way,
)


@pytest.fixture(autouse=True)
def _tier_b(promised):
    if "qdisc_bpf" in promised:
        pytest.skip("on this kernel the queue is tier A, which has its own suite")
