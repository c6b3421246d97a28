"""How long two tiers take to move limits, in turns: their ratio holds on a machine whose times mean nothing."""

from __future__ import annotations

import time
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sentinel_bpf.buffer.port import Buffer

LIMIT_BYTES = 1_000_000
TURNS = 200


def tier_a_vs_b_resize_ratio(tier_a: Buffer, tier_b: Buffer, classes: Sequence[int], turns: int = TURNS) -> float:
    """Median against median, from the call to the kernel's confirmation. Both must have the classes configured."""
    spent: dict[Buffer, list[int]] = {tier_a: [], tier_b: []}
    for turn in range(turns):
        for buffer, times in spent.items():
            limits = dict.fromkeys(classes, LIMIT_BYTES + turn)  # never those it has: tier B would not even ask
            began = time.perf_counter_ns()
            buffer.resize(limits)
            times.append(time.perf_counter_ns() - began)
    return median(spent[tier_a]) / median(spent[tier_b])
