"""A zone as one: the sums that its router makes of what its nodes say, and those of other zones as they were heard.

What crosses between zones is one record of 80 bytes a second and zone, whatever the number of nodes; and it holds
enough to form the quantile of the sum of all of them, see `sentinel_core.forecast.merged`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from sentinel_api.records import CLASSES, HORIZONS_S, Digest, Role
from sentinel_api.wire import DIGEST_MAX_BYTES, unpack_digest
from sentinel_core.forecast import Spreads, spreads
from sentinel_mesh.latest import Kind, Latest
from sentinel_mesh.membership import SILENT_NS

if TYPE_CHECKING:
    from sentinel_api.records import NodeState
    from sentinel_mesh.roster import View

PERIOD_S: Final = 1.0
FRESH_NS: Final = 3_000_000_000
"""They come once a second; two may be lost."""

ZONES_MAX: Final = 256


class Digests(Latest[Digest]):
    """By zone."""

    def __init__(self) -> None:
        super().__init__(Kind(unpack_digest, DIGEST_MAX_BYTES, FRESH_NS, ZONES_MAX))


def summed(view: View, incarnation: int, seq: int) -> Digest:
    """Of the buffer nodes that a zone's router hears; those whose last state is old are counted and add nothing."""
    known = [each for each in view.members.values() if each.state is not None and each.state.role is Role.BUFFER]
    fresh = [
        each.state
        for each in known
        if each.state is not None and each.heard_ns is not None and view.at_ns - each.heard_ns <= SILENT_NS
    ]
    expected = _spreads(fresh)
    room = np.sum([[one.headroom_bytes for one in each.classes] for each in fresh], axis=0) if fresh else [0] * CLASSES
    return Digest(
        incarnation=incarnation,
        seq=seq,
        nodes=len(known),
        fresh_nodes=len(fresh),
        demand_now=sum(each.demand.now for each in fresh),
        demand_p50=_whole(expected.p50),
        spread=_whole(expected.spread),
        spread_norm=_whole(expected.spread_norm),
        headroom_bytes=_whole(room),
    )


def _spreads(states: list[NodeState]) -> Spreads:
    if not states:
        nothing = np.zeros(len(HORIZONS_S))
        return Spreads(nothing, nothing, nothing)
    return spreads([each.demand.p50 for each in states], [each.demand.p95 for each in states])


def _whole(values: object) -> tuple[int, ...]:
    return tuple(int(value) for value in np.asarray(values))
