"""What a blow cost, from what was sent and what arrived: pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Outage:
    """`lost_ms` is from the first packet that was lost to the last one, by when they were sent; `after_ms` from the
    moment before the blow was ordered to that last one. Zero where nothing was lost."""

    sent: int
    lost: int
    lost_ms: float
    after_ms: float
    flows_hit: int
    """Flows that lost a packet: those that were on the node."""
    flows_lived: int
    """Of these, how many arrived again after their last loss."""
    doubled: int
    """Packets that arrived twice."""


def outage(sent: NDArray[Any], arrived: NDArray[Any], struck_ns: int) -> Outage:
    """`sent` has a record for each packet in order of its sequence, `arrived` one for each arrival."""
    came = np.bincount(arrived["sequence"].astype(np.int64), minlength=sent.size)[: sent.size]
    lost = sent[came == 0]
    doubled = int((came > 1).sum())
    if not lost.size:
        return Outage(sent.size, 0, 0.0, 0.0, 0, 0, doubled)
    first_ns, last_ns = int(lost["sent_ns"].min()), int(lost["sent_ns"].max())
    hit = np.unique(lost["stream"])
    got = sent[came > 0]
    lived = sum(_lives(flow, lost, got) for flow in hit)
    return Outage(
        sent=sent.size,
        lost=int(lost.size),
        lost_ms=(last_ns - first_ns) / 1e6,
        after_ms=(last_ns - struck_ns) / 1e6,
        flows_hit=int(hit.size),
        flows_lived=lived,
        doubled=doubled,
    )


def _lives(flow: int, lost: NDArray[Any], got: NDArray[Any]) -> bool:
    last_lost = lost["sequence"][lost["stream"] == flow].max()
    return bool((got["sequence"][got["stream"] == flow] > last_lost).any())
