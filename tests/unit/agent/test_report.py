"""What an agent tells of a tick: bounded, whatever happens on the node."""

import json
from dataclasses import replace

import pytest

from sentinel_agent.report import condition, state, status
from sentinel_api.v1alpha1.buffernode import MAX_TALLY, Versions
from sentinel_bpf.buffer.port import Tier, Verdict
from support.ticks import CONFIG, tick

LONG = Verdict(Tier.OBSERVE, "eth0 already has XDP program of unknown name (id 4711, native), which is not ours " * 5)


def test_the_longest_status_an_agent_can_write_stays_below_two_kibibytes():
    more = [condition(kind, "Unknown", "R" * 28, "m" * 99, 0) for kind in ("ConfigAccepted", "DataPlaneReady")]
    told = status(tick(verdict=LONG), Versions(agent="v" * 36, kernel="k" * 36, abi=1), "Draining", *more)
    assert len(json.dumps(told.wire(), separators=(",", ":"))) < 2048
    assert told.conditions[0].message


@pytest.mark.parametrize(("tier", "letter"), [(Tier.HTB, "B"), (Tier.OBSERVE, "C"), (Tier.BPF_QDISC, "A")])
def test_the_tier_is_told_with_its_reason(tier, letter):
    told = status(tick(verdict=Verdict(tier, "because")), Versions())
    assert told.data_plane.tier == letter
    assert told.conditions[0].message == "because"


def test_a_node_that_drains_says_so():
    assert status(tick(), Versions(), "Draining").state == "Draining"


def test_demand_now_and_at_four_horizons():
    told = status(tick(demand=1000), Versions()).forecast
    assert [point.horizon_seconds for point in told.points] == [30, 60, 120, 300]
    assert all(point.p50 == 16_000 for point in told.points)


def test_who_has_the_pool_is_told_for_each_class_over_all_interfaces():
    made = tick(names=("eth0", "eth1"))
    found, told = made.chosen.allocation, status(made, Versions()).buffer
    for name, rows in (
        ("granted", found.limit_bytes),
        ("lent", found.lent_bytes),
        ("recalled", made.pool.taken_back),
    ):
        shares = getattr(told.pool_permille, name)
        by_class = (rows[:16] + rows[16:]) * 1000 / made.pool.total
        assert [share - part for share, part in zip(shares, by_class, strict=True)] == pytest.approx([0] * 16, abs=1)
        assert [share > 0 for share in shares] == (by_class > 0).tolist()
    shown = state(made)["classes"]["unmatched on eth1"]
    assert shown["lentBytes"] == found.lent_bytes[16]
    assert shown["recalledBytes"] == made.pool.taken_back[16] > 0


def test_the_last_tick_names_a_reason_for_every_class():
    shown = state(tick())
    assert shown["classes"].keys() == {"unmatched", *(each.name for each in CONFIG.traffic_classes)}
    assert all(each["reason"] for each in shown["classes"].values())
    json.dumps(shown)


def test_how_good_the_forecasts_were_is_told_in_the_units_of_the_contract():
    scores = status(tick(), Versions()).scores
    assert (scores.hits, scores.misses, scores.false_alarms) == (MAX_TALLY, 3, 4)
    assert (scores.lead_time_millis, scores.brier_permille, scores.trusted) == (1250, 125, True)


def test_a_node_of_two_interfaces_tells_the_sum_of_both_and_the_weaker_tier():
    one, two = tick(demand=1000), tick(demand=1000, names=("eth0", "eth1"))
    both = status(two, Versions())
    assert both.forecast.points[0].p50 == 2 * status(one, Versions()).forecast.points[0].p50
    assert both.buffer.granted_bytes == sum(two.chosen.limit_bytes.values()) <= both.buffer.pool_bytes
    weak = replace(two, lanes=(two.lanes[0], replace(two.lanes[1], verdict=LONG)))
    assert status(weak, Versions()).data_plane.tier == "C"
    assert {"class-01-" + "x" * 20 + " on eth1", "unmatched on eth0"} <= state(two)["classes"].keys()


def test_an_interface_that_cannot_be_read_is_named_and_the_node_does_not_enforce():
    half = replace(tick(), blind={"eth1": "eth1 is gone"})
    told = status(half, Versions())
    assert (told.data_plane.tier, told.data_plane.reason) == ("C", "NotRead")
    assert told.conditions[0].message == "eth1: eth1 is gone"
    assert state(half)["interfaces"]["eth1"] == {"unread": "eth1 is gone"}
