"""Tier B answers on this kernel as every tier does anywhere: the one suite, in both directions."""

from __future__ import annotations

import pytest

from conformance.test_buffer import *  # noqa: F403  (the suite itself; only what it runs against is named below)
from sentinel_bpf.buffer.htb import HtbBuffer
from sentinel_bpf.buffer.port import Direction, Interface, Tier
from sentinel_bpf.buffer.programs import PROGRAMS, QueuePrograms
from sentinel_lab.topology import NODE_DEVICE
from support.netns import bottleneck, without_ipv6
from support.tier_a import agent_object

RATE = 1_000_000


@pytest.fixture(scope="module")
def agent():
    """In a guest a node and a loaded object cost seconds: one serves the whole suite."""
    with bottleneck(()), agent_object(PROGRAMS) as loaded:
        without_ipv6()
        yield loaded


@pytest.fixture(params=Direction, ids=lambda direction: f"htb-{direction.value.lower()}")
def tiered(request, agent):
    programs = QueuePrograms(agent)
    buffer = HtbBuffer(Interface(NODE_DEVICE, request.param, RATE), programs)
    yield buffer, Tier.HTB
    buffer.detach()
    programs.close()
