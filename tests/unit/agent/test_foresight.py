"""From samples to limits without a kernel: after a schedule is learned, room is there before its bursts."""

import numpy as np

from sentinel_agent.decide.policy import Moment, decide, standing
from sentinel_agent.predict.schedule import Schedule
from sentinel_api.records import CLASSES
from sentinel_api.v1alpha1.nodeconfig import NodeConfig
from sentinel_core.room import Outlook, Seen, start
from sentinel_core.sample import ALL_VALID, PERIOD_NS, Sample
from sentinel_core.score import LiveScore
from sentinel_core.surges import Surges

PACKET = 1_000
DRAIN = 600  # packets a tick
BURST = 1_000
CALM = 100
CONFIG = NodeConfig.parse(
    {
        "trafficClasses": [{"name": "cron", "match": [{"port": 80}], "floorBytes": 65536, "maxDelayMillis": 10_000}],
        "pool": {"minBytes": 524288, "maxBytes": 10485760},
        "model": {"gate": {"minEvents": 3}},
    }
)


def column(value, kind):
    found = np.zeros(CLASSES, kind)
    found[1] = value
    return found


def sampled(tick, arrived, backlog, limit, dropped):
    none = column(0, np.uint32)
    return Sample(
        (tick + 1) * PERIOD_NS, PERIOD_NS, column(arrived * PACKET, np.uint64), column(arrived, np.uint64),
        column(0, np.uint64), column(0, np.uint64), column(dropped, np.uint64), column(backlog * PACKET, np.uint64),
        column(limit, np.uint64), none, none, none, np.full(CLASSES, ALL_VALID, np.uint8),
    )  # fmt: skip


def lived_through(bursts_at, ticks, blind=False):
    """Limits and drops by tick of a queue that obeys the agent's decisions one tick later."""
    rules, forecaster = standing(CONFIG, DRAIN * PACKET * 10), Schedule()
    score, surges, held = LiveScore(CLASSES, 0.1, CONFIG.model.gate), Surges(CLASSES), start(0)
    backlog, limit, limits, drops = 0, 65536, [], []
    burst = {at + step for at in bursts_at for step in range(10)}
    for tick in range(ticks):
        arrived = BURST if tick in burst else CALM
        waiting = max(0, backlog + arrived - DRAIN)
        backlog = min(waiting, limit // PACKET)
        drops.append(waiting - backlog)
        sample = sampled(tick, arrived, backlog, limit, drops[-1])
        forecast = forecaster.predict(sample)
        score.step(forecast, forecaster.began)
        surges.step(sample)
        seen = Seen(
            sample.t_ns, sample.per_second("bytes"), np.full(CLASSES, DRAIN * PACKET * 10.0),
            sample.backlog_bytes.astype(np.int64), np.zeros(CLASSES, np.int64), np.ones(CLASSES, bool),
            refused_bytes=sample.refused_bytes(), sudden_bytes=surges.bytes,
        )  # fmt: skip
        outlook = None if blind else Outlook(forecast, score.trust)
        chosen = decide(rules, seen, outlook, held, Moment(0, 500))
        held, limit = chosen.allocation.held, chosen.limit_bytes[1]
        limits.append(limit)
    return np.array(limits), np.array(drops)


def test_after_a_schedule_is_learned_room_is_there_before_each_burst():
    bursts_at = range(400, 1900, 100)
    needed = (BURST - DRAIN) * 10 * PACKET
    limits, drops = lived_through(bursts_at, 1890)
    before = [limits[at - 3] for at in bursts_at]
    assert max(before[:3]) < needed
    assert min(before[-4:]) >= 0.95 * needed
    assert sum(drops[at : at + 20].sum() for at in bursts_at[-4:]) == 0
    blind, _ = lived_through(bursts_at[:4], 790, blind=True)
    assert max(blind[at - 3] for at in bursts_at[:4]) < needed


def test_what_a_period_brought_once_finds_room_the_next_time_without_any_forecast():
    _, drops = lived_through([100, 290, 500], 600, blind=True)
    assert drops[100:110].sum() > 0
    assert drops[110:].sum() == 0


def test_what_cannot_be_foreseen_is_treated_no_worse_than_by_the_reactive_rule():
    random = np.random.default_rng(5)
    bursts_at = (400 + np.cumsum(random.integers(40, 200, 7))).tolist()
    _, with_forecast = lived_through(bursts_at, 1200)
    _, without = lived_through(bursts_at, 1200, blind=True)
    assert with_forecast.sum() <= without.sum()
