"""What an agent tells of a tick: bounded, whatever happens on the node."""

import json

import numpy as np
import pytest

from sentinel_agent.decide.policy import Moment, decide, standing
from sentinel_agent.loop import Tick
from sentinel_agent.observe import Seen as Observed
from sentinel_agent.report import state, status
from sentinel_api.records import CLASSES
from sentinel_api.v1alpha1.buffernode import MAX_TALLY, Versions
from sentinel_api.v1alpha1.nodeconfig import NodeConfig
from sentinel_bpf.buffer.port import Tier, Verdict
from sentinel_core.allocate import Seen, start
from sentinel_core.forecast import nothing_expected
from sentinel_core.sample import PERIOD_NS, Snapshot, between, no_queues
from sentinel_core.score import Marks

CONFIG = NodeConfig.parse(
    {"trafficClasses": [{"name": f"class-{i:02}-{'x' * 20}", "match": [{"port": i}]} for i in range(1, 16)]}
)
LONG = Verdict(Tier.OBSERVE, "eth0 already has XDP program of unknown name (id 4711, native), which is not ours " * 5)


def tick(config=CONFIG, demand=1e12):
    columns = {
        name: np.full(CLASSES, 1 << 50, np.uint64) for name in ("bytes", "packets", "new_flows", "syns", "drops")
    }
    nothing = {name: np.zeros(CLASSES, np.uint64) for name in columns}
    sample = between(Snapshot(t_ns=0, **nothing), Snapshot(t_ns=PERIOD_NS, **columns), no_queues())
    rules = standing(config, 10**9)
    seen = Seen(
        now_ns=PERIOD_NS,
        arrivals=sample.per_second("bytes"),
        drain=rules.share_bps,
        backlog_bytes=np.zeros(CLASSES, np.int64),
        flow_floor_bytes=np.zeros(CLASSES, np.int64),
        measured=np.ones(CLASSES, np.bool_),
    )
    return Tick(
        seq=1 << 40,
        at_ns=PERIOD_NS,
        wall_ns=1_900_000_000 * 10**9,
        took_ns=10**6,
        missed=0,
        config_digest=config.digest,
        pool_bytes=config.pool.max_bytes,
        names=dict(rules.names),
        observed=Observed(sample, rules.share_bps),
        forecast=nothing_expected(PERIOD_NS, np.full(CLASSES, demand)),
        marks=Marks(hits=MAX_TALLY + 1, misses=3, false_alarms=4, lead_s=1.25, brier=0.125, trusted=True),
        chosen=decide(rules, seen, None, start(0), Moment(0, 500)),
    )


def test_the_longest_status_an_agent_can_write_stays_below_two_kibibytes():
    told = status(tick(), LONG, Versions(agent="v" * 36, kernel="k" * 36, abi=1))
    assert len(json.dumps(told.wire())) < 2048
    assert told.conditions[0].message


@pytest.mark.parametrize(("tier", "letter"), [(Tier.HTB, "B"), (Tier.OBSERVE, "C"), (Tier.BPF_QDISC, "A")])
def test_the_tier_is_told_with_its_reason(tier, letter):
    told = status(tick(), Verdict(tier, "because"), Versions())
    assert told.data_plane.tier == letter
    assert told.conditions[0].message == "because"


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
