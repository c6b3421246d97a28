"""A tick of a busy node, as large as its figures can be."""

from dataclasses import replace

import numpy as np

from sentinel_agent.decide.policy import Moment, class_names, decide, standing
from sentinel_agent.observe import Seen as Observed
from sentinel_agent.tick import LaneTick, Pool, Tick
from sentinel_api.records import CLASSES
from sentinel_api.v1alpha1.buffernode import MAX_TALLY
from sentinel_api.v1alpha1.nodeconfig import NodeConfig
from sentinel_bpf.buffer.port import Direction, Interface, Tier, Verdict
from sentinel_core.forecast import nothing_expected
from sentinel_core.precursor import no_signs
from sentinel_core.room import Seen, start
from sentinel_core.sample import PERIOD_NS, Snapshot, between, no_queues
from sentinel_core.score import Marks

CONFIG = NodeConfig.parse(
    {"trafficClasses": [{"name": f"class-{i:02}-{'x' * 20}", "match": [{"port": i}]} for i in range(1, 16)]}
)


ENFORCED = Verdict(Tier.HTB, "HTB and bfifo on eth0")
RATE = 10**9
KIB = 1024


def lane_tick(config=CONFIG, demand=1e12, verdict=ENFORCED, name="eth0", first_row=0, carried=1e12):
    columns = {
        name: np.full(CLASSES, 1 << 50, np.uint64) for name in ("bytes", "packets", "new_flows", "syns", "drops")
    }
    nothing = {name: np.zeros(CLASSES, np.uint64) for name in columns}
    after = Snapshot(t_ns=PERIOD_NS, **columns)
    shares = standing(config, RATE).share_bps
    return LaneTick(
        interface=Interface(name, Direction.INGRESS, RATE),
        verdict=verdict,
        first_row=first_row,
        names=class_names(config),
        observed=Observed(between(Snapshot(t_ns=0, **nothing), after, no_queues()), shares, shares),
        counters=after,
        carried_bps=carried,
        forecast=nothing_expected(PERIOD_NS, np.full(CLASSES, demand)),
        marks=Marks(hits=MAX_TALLY + 1, misses=3, false_alarms=4, lead_s=1.25, brier=0.125, trusted=True),
        signs=no_signs(CLASSES),
        began=np.zeros(CLASSES, np.bool_),
    )


def tick(config=CONFIG, demand=1e12, verdict=ENFORCED, names=("eth0",)):
    """As many interfaces as there are names, each as busy as the others."""
    lanes = tuple(lane_tick(config, demand, verdict, each, i * CLASSES) for i, each in enumerate(names))
    rules = standing(config, *(RATE for _ in names), devices=names)
    rows = len(names) * CLASSES
    seen = Seen(
        now_ns=PERIOD_NS,
        arrivals=np.concatenate([lane.observed.sample.per_second("bytes") for lane in lanes]),
        drain=rules.share_bps,
        backlog_bytes=np.zeros(rows, np.int64),
        flow_floor_bytes=np.zeros(rows, np.int64),
        measured=np.ones(rows, np.bool_),
    )
    chosen = decide(rules, seen, None, start(0, rows), Moment(0, 500))
    return Tick(
        seq=1 << 40,
        at_ns=PERIOD_NS,
        wall_ns=1_900_000_000 * 10**9,
        took_ns=10**6,
        missed=0,
        config_digest=config.digest,
        pool=Pool(
            total=config.pool.max_bytes,
            granted=int(chosen.allocation.limit_bytes.sum()),
            lent=int(chosen.allocation.lent_bytes.sum()),
            recalled=0,
            held=0,
            taken_back=np.arange(rows) * KIB,
        ),
        lanes=lanes,
        chosen=chosen,
        blind={},
    )


def with_lane(made, **change):
    """The tick with its one interface changed."""
    (lane,) = made.lanes
    return replace(made, lanes=(replace(lane, **change),))
