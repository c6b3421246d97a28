"""The queue of this kernel's best tier does to packets what every other does: the one suite, on the way out."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from conformance import test_buffer_traffic as suite
from conformance.test_buffer_traffic import *  # noqa: F403  (the suite itself; only what it runs against is named below)
from support.tier_a import HOUR_NS, give_lease


@pytest.fixture(scope="module")
def node():
    """In a guest a node and a loaded object cost seconds: one serves the whole suite."""
    with suite.leaving() as out:
        yield out


@contextmanager
def bpf_queue(out):
    buffer = out.buffer(suite.RATE)
    yield buffer
    buffer.detach()


@pytest.fixture
def way_out(node, promised):
    """Each test counts from zero."""
    give_lease(node.agent, HOUR_NS)
    node.agent.map("sn_backlog").view(writable=True)[...] = 0
    node.received_in_all()
    node.wires.totals.clear()
    with (bpf_queue if "qdisc_bpf" in promised else suite.htb)(node) as buffer:
        yield node, buffer
