"""A tick of a busy node, as large as its figures can be."""

import numpy as np

from sentinel_agent.decide.policy import Moment, decide, standing
from sentinel_agent.loop import Tick
from sentinel_agent.observe import Seen as Observed
from sentinel_api.records import CLASSES
from sentinel_api.v1alpha1.buffernode import MAX_TALLY
from sentinel_api.v1alpha1.nodeconfig import NodeConfig
from sentinel_core.forecast import nothing_expected
from sentinel_core.room import Seen, start
from sentinel_core.sample import PERIOD_NS, Snapshot, between, no_queues
from sentinel_core.score import Marks

CONFIG = NodeConfig.parse(
    {"trafficClasses": [{"name": f"class-{i:02}-{'x' * 20}", "match": [{"port": i}]} for i in range(1, 16)]}
)


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
