"""The queue of tier B on the way out, by tcx or by what stands in for it before 6.6."""

from __future__ import annotations

import os

import pytest

if "qdisc_bpf" in os.environ["SENTINEL_VM_FEATURES"].split(","):
    # Before the agent is imported, which takes an emulated guest half a minute.
    pytest.skip("on this kernel the queue is tier A, which has its own suite", allow_module_level=True)

from netns.test_egress import (  # noqa: F401
    plane,
    services,
    test_a_leaving_packet_waits_in_the_class_that_the_rules_give_its_flow,
    test_handed_back_the_device_is_as_it_was,
    way,
)
