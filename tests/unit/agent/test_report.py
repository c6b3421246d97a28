"""What an agent tells of a tick: bounded, whatever happens on the node."""

import json

import pytest

from sentinel_agent.report import state, status
from sentinel_api.v1alpha1.buffernode import MAX_TALLY, Versions
from sentinel_bpf.buffer.port import Tier, Verdict
from support.ticks import CONFIG, tick

LONG = Verdict(Tier.OBSERVE, "eth0 already has XDP program of unknown name (id 4711, native), which is not ours " * 5)


def test_the_longest_status_an_agent_can_write_stays_below_two_kibibytes():
    told = status(tick(), LONG, Versions(agent="v" * 36, kernel="k" * 36, abi=1))
    assert len(json.dumps(told.wire())) < 2048
    assert told.conditions[0].message


@pytest.mark.parametrize(("tier", "letter"), [(Tier.HTB, "B"), (Tier.OBSERVE, "C"), (Tier.BPF_QDISC, "A")])
def test_the_tier_is_told_with_its_reason(tier, letter):
    told = status(tick(), Verdict(tier, "because"), Versions())
    assert told.data_plane.tier == letter
    assert told.conditions[0].message == "because"


def test_a_node_that_drains_says_so():
    assert status(tick(), LONG, Versions(), "Draining").state == "Draining"


def test_demand_now_and_at_four_horizons():
    told = status(tick(demand=1000), LONG, Versions()).forecast
    assert [point.horizon_seconds for point in told.points] == [30, 60, 120, 300]
    assert all(point.p50 == 16_000 for point in told.points)


def test_the_last_tick_names_a_reason_for_every_class():
    shown = state(tick(), LONG)
    assert shown["classes"].keys() == {"unmatched", *(each.name for each in CONFIG.traffic_classes)}
    assert all(each["reason"] for each in shown["classes"].values())
    json.dumps(shown)


def test_how_good_the_forecasts_were_is_told_in_the_units_of_the_contract():
    scores = status(tick(), LONG, Versions()).scores
    assert (scores.hits, scores.misses, scores.false_alarms) == (MAX_TALLY, 3, 4)
    assert (scores.lead_time_millis, scores.brier_permille, scores.trusted) == (1250, 125, True)
