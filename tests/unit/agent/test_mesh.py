"""What a node tells the mesh of a tick: promises that it can keep, and what it expects."""

from dataclasses import replace

import numpy as np
import pytest

from sentinel_agent.mesh import Told, place_of, state
from sentinel_agent.settings import MeshSettings
from sentinel_api import records
from sentinel_api.records import CLASSES, Flag
from sentinel_api.v1alpha1.nodeconfig import NodeConfig
from sentinel_api.wire import STATE_MAX_BYTES, pack_state, unpack_state
from sentinel_bpf.buffer.port import Tier, Verdict
from sentinel_core.forecast import checked
from support.ticks import tick, with_lane

ONE = NodeConfig.parse({"trafficClasses": [{"name": "bulk", "match": [{"port": 1}]}]})


def told(tier=Tier.HTB, **change):
    return Told(with_lane(tick(ONE), verdict=Verdict(tier, "because"), **change))


def idle(made):
    """The same, when nothing arrived."""
    for lane in (made.tick if isinstance(made, Told) else made).lanes:
        lane.observed.sample.bytes[:] = 0
    return made


@pytest.mark.parametrize(("settings", "few"), [({"routers": ("tcp/10.0.0.9:7447",)}, True), ({}, False)])
def test_only_behind_routers_an_agent_hears_no_states(settings, few):
    listen = () if few else ("tcp/10.0.0.1:7447",)
    place = place_of(MeshSettings("c", listen, (), **settings), "n1")
    assert (place.alarms_only, place.routers) == (few, settings.get("routers", ()))


def test_headroom_is_the_room_left_and_what_of_the_rate_is_not_used():
    made = idle(told())
    lane = made.tick.lanes[0]
    sample = lane.observed.sample
    sample.backlog_bytes[1] = 100
    sample.bytes[1:3] = 1_000_000
    found = state(made, 7, 1).classes[1].headroom_bytes
    arrivals = sample.per_second("bytes")
    unused = lane.interface.rate_bytes_per_s - arrivals.sum()
    assert found == int(made.tick.chosen.limit_bytes[1] - 100 + max(lane.observed.drain_bps[1] - arrivals[1], unused))
    assert found > 0


def test_a_node_near_its_rate_has_less_headroom_than_an_idle_one_before_its_queue_grows():
    rooms = []
    for share in (0.0, 0.5, 0.9):
        made = idle(told())
        lane = made.tick.lanes[0]
        sample = lane.observed.sample
        sample.bytes[1] = int(share * lane.interface.rate_bytes_per_s * sample.period_ns / 1e9)
        rooms.append(state(made, 7, 1).classes[1].headroom_bytes)
    assert rooms[0] > rooms[1] > rooms[2] > 0


def test_more_queued_than_allowed_is_no_negative_promise():
    made = told()
    made.tick.lanes[0].observed.sample.backlog_bytes[1] = 1 << 50
    assert state(made, 7, 1).classes[1].headroom_bytes == 0


def test_who_only_observes_promises_nothing_nor_does_anybody_for_classes_it_does_not_have():
    assert not any(each.headroom_bytes for each in state(idle(told(Tier.OBSERVE)), 7, 1).classes)
    assert [bool(each.headroom_bytes) for each in state(idle(told()), 7, 1).classes] == [True, True] + [False] * 14


@pytest.mark.parametrize(
    ("tier", "expected"),
    [(Tier.BPF_QDISC, records.Tier.A), (Tier.HTB, records.Tier.B), (Tier.OBSERVE, records.Tier.C)],
)
def test_the_tier_is_told(tier, expected):
    assert state(told(tier), 7, 1).tier is expected


def test_a_burst_that_is_expected_is_told_with_its_size_and_time():
    hazard, magnitude = np.zeros((CLASSES, 10)), np.zeros((CLASSES, 3))
    hazard[1, 4], magnitude[1] = 0.75, (100, 200, 300)
    expected = checked(0, "model", hazard, magnitude, np.zeros((CLASSES, 4, 3)))
    found = state(told(forecast=expected), 7, 1).classes[1]
    assert (found.burst_probability, found.burst_in_s) == (0.75, 4.5)
    assert (found.burst_p50_bytes, found.burst_p90_bytes) == (200, 300)


def test_how_far_the_forecast_may_be_believed_is_told():
    made = told()
    lane = made.tick.lanes[0]
    assert state(made, 7, 1).flags == records.NO_FLAGS
    doubted = told(marks=replace(lane.marks, trusted=False), forecast=replace(lane.forecast, source="smoothing"))
    assert state(doubted, 7, 1).flags == Flag.FALLBACK_FORECAST | Flag.FORECAST_GATED


def test_the_busiest_tick_fits_a_record_and_survives_it():
    found = state(Told(tick(names=("eth0", "eth1"))), 2**32 - 1, 5)
    raw = pack_state(found)
    assert len(raw) <= STATE_MAX_BYTES
    assert (unpack_state(raw).incarnation, unpack_state(raw).seq) == (2**32 - 1, 5)


def test_a_node_that_drains_or_cannot_steer_an_interface_says_so():
    assert state(Told(told().tick, draining=True), 7, 1).flags == Flag.DRAINING
    assert state(told(trouble="its queue is gone"), 7, 1).flags == Flag.DEGRADED
    assert not any(each.headroom_bytes for each in state(idle(told(trouble="its queue is gone")), 7, 1).classes)


def test_two_interfaces_promise_their_room_together():
    one, both = idle(tick(ONE)), idle(tick(ONE, names=("eth0", "eth1")))
    rooms = [state(Told(made), 7, 1).classes[1].headroom_bytes for made in (one, both)]
    assert rooms[0] < rooms[1] <= 2 * rooms[0]  # the pool is one, so what is lent is not doubled
