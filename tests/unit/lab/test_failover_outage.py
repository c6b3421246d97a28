"""What a blow cost is counted from both ends of the packets."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel_lab.bench.failover import figures
from sentinel_lab.failover.outage import outage
from sentinel_lab.failover.stream import SENT

MS = 1_000_000
FLOWS = 4


def sent(count: int) -> np.ndarray:
    """A packet a millisecond, flow after flow."""
    found = np.zeros(count, SENT)
    found["sequence"], found["sent_ns"] = np.arange(count), np.arange(count) * MS
    found["stream"] = found["sequence"] % FLOWS
    return found


def without(packets: np.ndarray, *lost: int) -> np.ndarray:
    return packets[~np.isin(packets["sequence"], lost)]


def test_an_outage_lasts_from_the_first_packet_lost_to_the_last():
    packets = sent(100)
    found = outage(packets, without(packets, 40, 44, 47), struck_ns=30 * MS)
    assert (found.lost, found.lost_ms, found.after_ms) == (3, 7.0, 17.0)


def test_a_flow_lives_on_when_it_arrives_again_after_its_last_loss():
    packets = sent(100)
    gone = [each for each in range(50, 100) if each % FLOWS == 1]
    found = outage(packets, without(packets, 52, *gone), struck_ns=50 * MS)
    assert (found.flows_hit, found.flows_lived) == (2, 1)


def test_a_packet_that_came_twice_is_neither_lost_nor_forgotten():
    packets = sent(10)
    found = outage(packets, np.concatenate([packets, packets[3:4]]), struck_ns=0)
    assert (found.lost, found.doubled, found.lost_ms) == (0, 1, 0.0)


@given(lost=st.sets(st.integers(0, 199)))
def test_what_was_sent_arrived_or_was_lost(lost):
    packets = sent(200)
    found = outage(packets, without(packets, *lost), struck_ns=0)
    assert found.lost == len(lost)
    assert found.flows_hit == len({each % FLOWS for each in lost})
    assert found.flows_lived <= found.flows_hit


def row(kind: str, lost_ms: float, **changes: object) -> dict[str, object]:
    usual = {"lost": 5, "flows_hit": 10, "flows_lived": 10, "dirt": "", "slowest_call_ms": 210.0}
    return usual | {"what": kind, "lost_ms": lost_ms} | {f"calls_{each}": 1 for each in FATES} | changes


FATES = ("answered", "reset", "silent")


def test_the_figures_are_of_clean_rounds_that_had_something_to_lose():
    rows = [row("cut", 60.0), row("kill", 80.0), row("cut", 900.0, dirt="overflowed"), row("kill", 0.0, flows_hit=0)]
    found = figures(rows)
    assert (found["lost_ms_p50"], found["lost_ms_max"], found["rounds"]) == (70.0, 80.0, 2.0)
    assert found["cut.lost_ms_max"] == 60.0


@pytest.mark.parametrize("kind", ["return", "agent-killed", "agent-stopped"])
def test_where_nothing_should_be_lost_each_packet_counts(kind):
    found = figures([row(kind, 0.0, lost=0, flows_hit=0), row(kind, 1.0)])
    assert found == {f"{kind}.lost_packets": 5.0, f"{kind}.rounds": 2.0}


def test_what_was_not_measured_is_absent():
    assert figures([]) == {}
