"""What an agent measured in one step, the same of every class."""

import numpy as np

from sentinel_api.records import CLASSES
from sentinel_core.sample import ALL_VALID, PERIOD_NS, Sample


def sample(step, packets=100):
    def whole(value, kind=np.uint64):
        return np.full(CLASSES, value, kind)

    return Sample(
        t_ns=(step + 1) * PERIOD_NS,
        period_ns=PERIOD_NS,
        bytes=whole(packets * 1_000),
        packets=whole(packets),
        new_flows=whole(3),
        syns=whole(0),
        drops=whole(0),
        backlog_bytes=whole(0),
        limit_bytes=whole(1 << 20),
        sojourn_us_p50=whole(0, np.uint32),
        sojourn_us_p95=whole(0, np.uint32),
        sojourn_us_p99=whole(0, np.uint32),
        valid=whole(ALL_VALID, np.uint8),
    )
