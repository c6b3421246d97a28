"""The division of a pool, case by case: who gets how much, and which reason is told."""

from dataclasses import replace

import numpy as np
import pytest

from sentinel_api.errors import Invalid
from sentinel_core.allocate import allocate
from sentinel_core.forecast import checked
from sentinel_core.room import Limits, Outlook, Seen, Why, start
from sentinel_core.sample import PERIOD_NS

NOW = 10**12
S = 10**9
KIB = 1024
MIB = 1024 * KIB


def classes(one, two, kind=np.int64):
    return np.array([0, one, two] + [0] * 13, kind)


def limits(**changes):
    base = Limits(
        pool_bytes=MIB,
        lend_bytes=0,
        floor_bytes=classes(32 * KIB, 8 * KIB),
        max_delay_us=classes(10_000, 500_000),
        priority=classes(0, 3),
        weight=np.maximum(classes(30, 5), 1),
        drop_cost=np.maximum(classes(100, 5), 1),
    )
    return replace(base, **changes)


def seen(arrivals=(1e6, 1e6), drain=(1e8, 1e8), backlog=(0, 0), now_ns=NOW):
    return Seen(
        now_ns=now_ns,
        arrivals=classes(*arrivals, np.float64),
        drain=classes(*drain, np.float64),
        backlog_bytes=classes(*backlog),
        flow_floor_bytes=np.zeros(16, np.int64),
        measured=np.ones(16, np.bool_),
    )


def burst_for(index, chance=0.99, magnitude_bytes=600 * KIB, second=1):
    hazard, magnitude = np.zeros((16, 10)), np.zeros((16, 3))
    hazard[index, second] = chance
    magnitude[index] = magnitude_bytes
    return Outlook(checked(NOW, "model", hazard, magnitude, np.zeros((16, 4, 3))), np.ones(16))


def ordered(made):
    return made.limit_bytes[1:3].tolist()


def why(made):
    return [Why(int(each)) for each in made.why[1:3]]


def test_a_calm_node_holds_its_floors():
    made = allocate(limits(), seen(), None, start(NOW))
    assert ordered(made) == [32 * KIB, 8 * KIB]
    assert why(made) == [Why.FLOOR, Why.FLOOR]
    assert "floor" in made.reason(1)


def test_pressure_gets_room_at_once_without_any_forecast():
    made = allocate(limits(), seen(arrivals=(1.01e8, 1e6), backlog=(40_000, 0)), None, start(NOW))
    assert ordered(made) == [40_000 + 200_000 + 32 * KIB, 8 * KIB]
    assert why(made)[0] is Why.REACTIVE
    assert made.burst[1]


def test_a_forecast_makes_room_before_the_burst():
    made = allocate(limits(), seen(), burst_for(1), start(NOW))
    assert ordered(made) == [600 * KIB, 8 * KIB]
    assert why(made)[0] is Why.FORECAST
    assert made.reactive_bytes[1] == 32 * KIB
    assert made.burst[1]


def test_a_burst_beyond_the_lead_time_gets_no_room_yet():
    assert ordered(allocate(limits(), seen(), burst_for(1, second=2), start(NOW))) == [32 * KIB, 8 * KIB]


def test_a_class_never_waits_longer_than_it_may():
    made = allocate(limits(), seen(drain=(1e7, 1e8)), burst_for(1), start(NOW))
    assert ordered(made)[0] == 100_000
    assert why(made)[0] is Why.CAPPED


def test_before_a_likely_burst_the_standing_queue_of_a_cheap_class_gives_way():
    full = seen(backlog=(0, 900 * KIB))
    reacting, foreseeing = (allocate(limits(), full, outlook, start(NOW)) for outlook in (None, burst_for(1)))
    assert ordered(reacting) == [32 * KIB, 908 * KIB]
    assert foreseeing.forecast_bytes[1:3].tolist() == [600 * KIB, MIB - 600 * KIB]
    assert why(foreseeing)[1] is Why.PRE_DRAIN
    assert foreseeing.draining[2]
    # Its bytes still fill the memory: room for the burst comes as they leave.
    assert ordered(foreseeing) == [MIB - 900 * KIB, MIB - 600 * KIB]


def test_an_unlikely_burst_drains_nobody_however_long_it_stays_unlikely():
    unlikely, held = burst_for(1, chance=0.4), start(NOW)
    for _ in range(3):
        made = allocate(limits(), seen(backlog=(0, 900 * KIB)), unlikely, held)
        assert not made.draining.any()
        assert ordered(made)[1] == 908 * KIB
        held = made.held


def test_no_class_gives_way_below_its_floor():
    full = seen(drain=(2e8, 1e8), backlog=(0, 900 * KIB))
    made = allocate(limits(), full, burst_for(1, magnitude_bytes=10 * MIB), start(NOW))
    assert made.forecast_bytes[2] == 8 * KIB


def test_dear_classes_give_way_to_nobody():
    dear = limits(drop_cost=np.maximum(classes(100, 21), 1))
    made = allocate(dear, seen(backlog=(0, 900 * KIB)), burst_for(1), start(NOW))
    assert not made.draining.any()


def test_when_the_pool_is_short_the_earlier_priority_is_served_first():
    made = allocate(limits(), seen(arrivals=(1.02e8, 2e8), backlog=(500_000, 500_000)), None, start(NOW))
    assert ordered(made)[0] == 500_000 + min(400_000, MIB - 1_000_000)
    assert why(made)[1] is Why.SHORT


def test_room_is_kept_for_the_refractory_and_given_back_in_steps():
    stepping = limits(shrink_step_bytes=256 * KIB)
    made = allocate(stepping, seen(), burst_for(1), start(NOW))
    sizes = []
    for tick in range(1, 30):
        made = allocate(stepping, seen(now_ns=NOW + tick * PERIOD_NS), None, made.held)
        sizes.append(ordered(made)[0])
    assert sizes[:19] == [600 * KIB] * 19
    assert sizes[19:23] == [344 * KIB, 88 * KIB, 32 * KIB, 32 * KIB]


def test_room_of_which_more_than_half_is_needed_is_kept_however_long_that_lasts():
    made = allocate(limits(), seen(backlog=(300 * KIB, 0)), burst_for(1, magnitude_bytes=200 * KIB), start(NOW))
    for tick in range(1, 30):
        waiting = seen(now_ns=NOW + tick * PERIOD_NS, backlog=(300 * KIB, 0))
        made = allocate(limits(), waiting, None, made.held)
    assert ordered(made)[0] == 500 * KIB


def test_a_queue_that_grew_within_the_period_is_expected_to_go_on_though_the_mean_rate_says_nothing():
    """A burst that began late in the period: its mean rate is below the drain."""
    calm = allocate(limits(max_delay_us=classes(100_000, 500_000)), seen(), None, start(NOW))
    began = seen(arrivals=(5e7, 1e6), backlog=(50_000, 0))
    made = allocate(limits(max_delay_us=classes(100_000, 500_000)), began, None, calm.held)
    assert ordered(made)[0] >= 32 * KIB + 50_000 + 2 * 50_000


def test_what_was_refused_counts_as_if_it_waited():
    told = replace(seen(backlog=(32 * KIB, 0)), refused_bytes=classes(200_000, 0, np.float64))
    calm = allocate(limits(), seen(backlog=(32 * KIB, 0)), None, start(NOW))
    made = allocate(limits(), told, None, calm.held)
    assert ordered(made)[0] == 64 * KIB + 200_000 + 2 * 200_000


def test_idle_room_is_lent_evenly_up_to_the_calm_size_and_recalled_on_demand():
    lending = limits(lend_bytes=140 * KIB)
    made = allocate(lending, seen(), None, start(NOW))
    assert ordered(made) == [82 * KIB, 58 * KIB]
    assert made.lent_bytes[1:3].tolist() == [50 * KIB] * 2
    assert why(made) == [Why.LENT, Why.LENT]
    burst = seen(arrivals=(1.2e8, 1e6), backlog=(32 * KIB, 0))
    recalled = allocate(replace(lending, pool_bytes=140 * KIB), burst, None, made.held)
    assert ordered(recalled) == [132 * KIB, 8 * KIB]


def test_room_for_a_likely_burst_outlasts_the_forecast_of_its_onset_against_a_standing_queue():
    made = allocate(limits(), seen(backlog=(0, 400 * KIB)), burst_for(1), start(NOW))
    sizes = []
    for tick in range(1, 14):
        now_ns = NOW + tick * PERIOD_NS
        quiet = Outlook(replace(burst_for(1, chance=0.0).forecast, made_ns=now_ns), np.ones(16))
        made = allocate(limits(), seen(backlog=(0, 900 * KIB), now_ns=now_ns), quiet, made.held)
        sizes.append(int(made.forecast_bytes[1]))
    assert sizes == [600 * KIB] * 9 + [32 * KIB] * 4


def test_a_class_that_was_not_measured_stays_as_it_was():
    made = allocate(limits(), seen(), burst_for(1), start(NOW))
    blind = replace(seen(now_ns=NOW + 10 * S), measured=np.zeros(16, np.bool_))
    later = allocate(limits(), blind, None, made.held)
    assert ordered(later) == ordered(made)
    assert why(later)[0] is Why.UNMEASURED


def test_the_first_tick_takes_no_slope_from_nothing():
    assert allocate(limits(), seen(arrivals=(9e7, 0)), None, start(NOW)).limit_bytes[1] == 32 * KIB


def test_rates_that_are_no_numbers_count_as_none():
    odd = seen(arrivals=(np.nan, np.inf), drain=(np.nan, 1e8))
    assert allocate(limits(), odd, None, start(NOW)).limit_bytes.sum() <= MIB


@pytest.mark.parametrize(
    "changes",
    [
        {"pool_bytes": -1},
        {"pool_bytes": 2**41},
        {"lend_bytes": -1},
        {"weight": np.zeros(16, np.int64)},
        {"drop_cost": np.zeros(16, np.int64)},
        {"floor_bytes": np.full(16, -1)},
        {"max_delay_us": np.full(16, -1)},
    ],
)
def test_limits_that_make_no_sense_are_refused(changes):
    with pytest.raises(Invalid, match=":"):
        limits(**changes)


def test_an_announced_burst_gets_room_before_its_first_byte():
    coming = replace(seen(), announced=classes(1.5e8, 0, np.float64))
    made = allocate(limits(max_delay_us=classes(1_000_000, 500_000)), coming, None, start(NOW))
    assert ordered(made)[0] == 10_000_000 or ordered(made)[0] == MIB - 8 * KIB
    assert why(made)[0] in (Why.WARNED, Why.SHORT)


def test_signs_follow_a_ramp_further_than_the_reactive_rule():
    held = allocate(limits(), seen(arrivals=(0.99e8, 1e6)), None, start(NOW)).held
    rising = seen(arrivals=(1.0001e8, 1e6))
    plain = allocate(limits(), rising, None, held)
    warned = allocate(limits(), replace(rising, warning=classes(1, 0, np.float64)), None, held)
    assert ordered(warned)[0] > ordered(plain)[0]
    assert warned.burst[1]


def test_what_is_announced_for_an_earlier_priority_takes_nothing_that_a_later_one_needs_now():
    busy = seen(arrivals=(1e6, 1.02e8))
    told = replace(busy, announced=classes(1.5e8, 0, np.float64))
    made, without = (allocate(limits(), each, None, start(NOW)) for each in (told, busy))
    assert ordered(without)[1] == 400_000 + 8 * KIB
    assert ordered(made)[1] == 400_000 + 8 * KIB
    assert ordered(made)[0] > ordered(without)[0]


def test_a_ceiling_is_named_as_the_reason():
    bounded = limits(ceiling_bytes=np.full(16, 40_000))
    made = allocate(bounded, seen(arrivals=(1.5e8, 1e6), backlog=(30_000, 0)), None, start(NOW))
    assert ordered(made)[0] == 40_000
    assert why(made)[0] is Why.CEILING


def test_a_pool_without_two_frames_for_each_queue_is_refused():
    with pytest.raises(Invalid, match=r"raise pool\.maxBytes to 48448"):
        limits(pool_bytes=40_000, least_bytes=np.full(16, 3_028))
