"""Tier A answers as the other tiers do: the same suite, on the kernels that have queueing disciplines in BPF."""

from __future__ import annotations

import pytest

from conformance.test_buffer import *  # noqa: F403  (the suite itself; only what it runs against is named below)
from sentinel_bpf.buffer.port import Direction, Interface, Tier
from sentinel_bpf.buffer.qdisc import QdiscBuffer
from sentinel_lab.topology import NODE_DEVICE
from support.netns import bottleneck, without_ipv6
from support.tier_a import HOUR_NS, agent_object, give_lease, home

RATE = 1_000_000


@pytest.fixture(scope="module")
def agent(promised):
    if "qdisc_bpf" not in promised:
        pytest.skip("this kernel has no queueing disciplines in BPF (6.16 or newer has), so there is no tier A")
    with bottleneck(()), agent_object() as loaded:
        without_ipv6()
        give_lease(loaded, HOUR_NS)  # the suite is about live limits, not about those past the lease
        yield loaded


@pytest.fixture(params=Direction, ids=lambda direction: f"qdisc-{direction.value.lower()}")
def tiered(request, agent):
    buffer = QdiscBuffer(Interface(NODE_DEVICE, request.param, RATE), agent, home())
    yield buffer, Tier.BPF_QDISC
    buffer.detach()
