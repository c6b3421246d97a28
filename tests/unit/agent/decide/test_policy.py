"""From what a tick saw to the orders it gives."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel_agent.decide.policy import MIN_LIMIT_BYTES, UNMATCHED, Moment, decide, standing
from sentinel_api.records import CLASSES
from sentinel_api.v1alpha1.nodeconfig import NodeConfig
from sentinel_core import pid
from sentinel_core.forecast import checked
from sentinel_core.room import Outlook, Seen, start

RATE = 10_000_000
NOW = Moment(wall_millis=1_000, lease_millis=500)


def config(pool=1_000_000, **more):
    classes = [
        {"name": "bulk", "profile": "network", "match": [{"port": 9001}], **more},
        {"name": "db", "profile": "database", "match": [{"port": 5432}]},
    ]
    return NodeConfig.parse({"trafficClasses": classes, "pool": {"minBytes": 65_536, "maxBytes": pool}})


def seen(rules, arrivals=None, backlog=None):
    column = np.zeros(CLASSES)
    held = np.zeros(CLASSES, np.int64)
    for each, rate in (arrivals or {}).items():
        column[each] = rate
    for each, waiting in (backlog or {}).items():
        held[each] = waiting
    return Seen(
        now_ns=10**9,
        arrivals=column,
        drain=rules.share_bps,
        backlog_bytes=held,
        flow_floor_bytes=np.zeros(CLASSES, np.int64),
        measured=np.isin(np.arange(CLASSES), list(rules.names)),
    )


def test_every_class_and_the_unmatched_get_an_order_and_no_other_id_does():
    rules = standing(config(), RATE)
    chosen = decide(rules, seen(rules), None, start(0), NOW)
    assert chosen.orders.keys() == chosen.limit_bytes.keys() == {UNMATCHED, 1, 2}


def test_the_drain_is_shared_by_weight_until_it_is_measured():
    rules = standing(config(), RATE)
    assert rules.share_bps.sum() == pytest.approx(RATE)
    assert rules.share_bps[2] == pytest.approx(RATE * 30 / 50)


def test_pressure_makes_room_and_says_why_with_what_others_would_have_done():
    rules = standing(config(), RATE)
    calm = decide(rules, seen(rules), None, start(0), NOW)
    busy = decide(rules, seen(rules, {1: 20e6}, {1: 50_000}), None, calm.allocation.held, NOW)
    assert busy.limit_bytes[1] > calm.limit_bytes[1]
    (told,) = [d for d in busy.decisions if d.subject == "bulk"]
    assert (told.knob, told.old, told.new) == ("buffer", calm.limit_bytes[1], busy.limit_bytes[1])
    assert {other.policy for other in told.alternatives} == {"static", "reactive", "forecast"}
    assert told.expires_at_millis == 1_500


def test_a_forecast_takes_the_pool_in_some_ticks_and_not_in_one():
    rules = standing(config(maxDelayMillis=10_000), RATE)
    hazard, magnitude = np.zeros((CLASSES, 10)), np.zeros((CLASSES, 3))
    hazard[1, 0], magnitude[1] = 1.0, 900_000
    coming = Outlook(checked(10**9, "test", hazard, magnitude, np.zeros((CLASSES, 4, 3))), np.ones(CLASSES))
    held, sizes = start(0), []
    for _ in range(6):
        chosen = decide(rules, seen(rules), coming, held, NOW)
        held = chosen.allocation.held
        sizes.append(chosen.limit_bytes[1])
    assert (np.diff(sizes) <= 250_000).all()
    assert sizes[0] < 300_000
    assert sizes[-1] > 900_000 - 100_000


def test_a_class_that_stays_as_it_is_tells_nothing():
    rules = standing(config(), RATE)
    calm = decide(rules, seen(rules), None, start(0), NOW)
    assert decide(rules, seen(rules), None, calm.allocation.held, NOW).decisions == ()


def test_a_ceiling_of_the_spec_holds_whatever_is_needed():
    rules = standing(config(ceilingBytes=40_000), RATE)
    chosen = decide(rules, seen(rules, {1: 50e6}, {1: 300_000}), None, start(0), NOW)
    assert chosen.limit_bytes[1] == 40_000


def test_gains_turn_to_burst_while_one_is_there():
    rules = standing(config(), RATE)
    chosen = decide(rules, seen(rules, {1: 50e6}, {1: 300_000}), None, start(0), NOW)
    assert chosen.orders[1].gains == pid.BURST
    assert chosen.orders[2].gains == pid.CALM


def test_a_class_that_gives_way_is_marked_early():
    rules = standing(config(pool=131_072), RATE)
    hazard, magnitude = np.zeros((CLASSES, 10)), np.zeros((CLASSES, 3))
    hazard[2, 0], magnitude[2] = 1.0, 900_000
    coming = Outlook(checked(10**9, "test", hazard, magnitude, np.zeros((CLASSES, 4, 3))), np.ones(CLASSES))
    busy = seen(rules, {1: 50e6}, {1: 300_000})
    crowded = decide(rules, busy, None, start(0), NOW)
    warned = decide(rules, busy, coming, crowded.allocation.held, NOW)
    assert warned.allocation.draining[1]
    assert warned.orders[1].target_us < crowded.orders[1].target_us


def test_the_real_queue_refuses_alone():
    rules = standing(config(), RATE)
    orders = decide(rules, seen(rules), None, start(0), NOW).orders
    assert not any(order.police for order in orders.values())
    assert all(order.queue and order.mark for order in orders.values())


@given(
    st.dictionaries(st.sampled_from([0, 1, 2]), st.floats(0, 1e9), max_size=3),
    st.dictionaries(st.sampled_from([0, 1, 2]), st.integers(0, 2_000_000), max_size=3),
)
def test_no_limit_is_ever_below_two_frames_nor_all_together_above_the_pool(arrivals, backlog):
    rules = standing(config(), RATE)
    limits = decide(rules, seen(rules, arrivals, backlog), None, start(0), NOW).limit_bytes
    assert min(limits.values()) >= MIN_LIMIT_BYTES
    assert sum(limits.values()) <= 1_000_000


def test_the_least_limit_is_two_frames_of_each_interface_and_beats_a_ceiling():
    small = config(maxDelayMillis=1, floorBytes=4_000, ceilingBytes=4_000)
    rules = standing(small, RATE, RATE, devices=["a", "b"], frames_bytes=[1514, 9014])
    assert [int(rules.limits.least_bytes[row]) for row in (1, CLASSES + 1)] == [2 * 1514, 2 * 9014]
    assert [int(rules.limits.ceiling_bytes[row]) for row in (1, CLASSES + 1)] == [4_000, 2 * 9014]
    assert rules.limits.least_bytes[5] == 0, "an id that no class has"
