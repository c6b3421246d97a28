"""What a node tells the mesh of a tick: promises that it can keep, and what it expects."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

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


def room_in_queues(made):
    waiting = made.tick.lanes[0].observed.sample.backlog_bytes
    return sum(limit - int(waiting[each]) for each, limit in made.tick.chosen.limit_bytes.items())


def promised(made):
    return [each.headroom_bytes for each in state(made, 7, 1).classes]


def receives(made, share_of_rate):
    """What arrives in a second, by class, as a part of the interface's rate."""
    lane = idle(made).tick.lanes[0]
    sample = lane.observed.sample
    for each, part in share_of_rate.items():
        sample.bytes[each] = int(part * lane.interface.rate_bytes_per_s * sample.period_ns / 1e9)
    return made


def everything():
    return Told(with_lane(tick(), verdict=Verdict(Tier.HTB, "because")))


def test_headroom_is_the_room_left_and_a_classs_part_of_the_unused_rate():
    made = receives(told(), {0: 0.2, 1: 0.6})  # two classes of equal weight: the second borrows
    lane = made.tick.lanes[0]
    lane.observed.sample.backlog_bytes[1] = 100
    rate = lane.interface.rate_bytes_per_s
    assert promised(made)[1] == pytest.approx(made.tick.chosen.limit_bytes[1] - 100 + 0.2 * rate / 2, rel=1e-6)


def test_what_a_class_is_guaranteed_and_does_not_use_is_its_own_whoever_borrows_it():
    made = receives(told(), {0: 0.95, 1: 0.04})
    rate = made.tick.lanes[0].interface.rate_bytes_per_s
    assert promised(made)[1] == pytest.approx(made.tick.chosen.limit_bytes[1] + 0.46 * rate, rel=1e-6)


@given(parts=st.lists(st.floats(0, 1.5), min_size=CLASSES, max_size=CLASSES))
def test_no_byte_of_the_rate_is_promised_twice(parts):
    made = receives(everything(), dict(enumerate(parts)))
    rate = made.tick.lanes[0].interface.rate_bytes_per_s
    assert sum(promised(made)) <= room_in_queues(made) + rate


def test_an_idle_node_promises_its_whole_rate_once():
    made = idle(everything())
    whole = room_in_queues(made) + made.tick.lanes[0].interface.rate_bytes_per_s
    assert sum(promised(made)) == pytest.approx(whole, rel=1e-6)


def test_where_more_comes_than_the_rate_what_is_lacking_is_taken_off():
    lacking = {each: promised(receives(told(), {1: 1 + each}))[1] for each in (0.0, 0.0001)}
    rate = told().tick.lanes[0].interface.rate_bytes_per_s
    assert lacking[0.0] - lacking[0.0001] == pytest.approx(0.0001 * rate, rel=1e-3)


def test_who_was_not_counted_is_promised_nothing_and_leaves_the_others_no_more_than_their_own():
    counted = promised(idle(everything()))
    made = idle(everything())
    sample = made.tick.lanes[0].observed.sample
    sample.valid[2:] = 0
    found = promised(made)
    assert found[2:] == [0] * (CLASSES - 2)
    assert found[:2] == counted[:2]  # an idle class has its own share either way
    made = receives(everything(), {1: 0.9})
    busy = promised(made)[1]
    made.tick.lanes[0].observed.sample.valid[2:] = 0
    assert promised(made)[1] < busy, "what others may be using was promised"


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
