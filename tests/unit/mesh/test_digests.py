"""A zone as one: its sums are those of its nodes that speak, and merged with others' they are those of all."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel_api.records import CLASSES, ClassState, Demand, Digest, NodeState, Role, Tier
from sentinel_api.wire import pack_digest, pack_state
from sentinel_core.forecast import Spreads, merged, spreads
from sentinel_mesh.digests import FRESH_NS, Digests, summed
from sentinel_mesh.keys import Keys
from sentinel_mesh.membership import SILENT_NS
from sentinel_mesh.roster import Roster

T0 = 10**12
KEYS = Keys("c", "east")
AMOUNTS = st.integers(0, 10**9)


def state(now=0, p50=0, p95=0, room=0, role=Role.BUFFER, seq=1):
    classes = (ClassState(headroom_bytes=room),) * CLASSES
    return NodeState(7, seq, Tier.B, role, demand=Demand(now, (p50,) * 4, (p95,) * 4), classes=classes)


def heard(states, at_ns=T0):
    """What a router of their zone knows then."""
    roster = Roster("router")
    for number, each in enumerate(states):
        raw = pack_state(each)
        roster.told(KEYS.state(f"n{number}"), len(raw), lambda raw=raw: raw, at_ns)
    return roster


def test_the_sum_is_of_buffer_nodes_that_speak():
    roster = heard([state(1024, 2048, 4096, 512), state(1024, 2048, 4096, 512), state(4096, role=Role.EDGE)])
    raw = pack_state(state(1 << 30, 1 << 30, 1 << 30, 1 << 30))
    roster.told(KEYS.state("late"), len(raw), lambda: raw, T0 - SILENT_NS)
    found = summed(roster.view(T0 + 1), 7, 3)
    assert (found.nodes, found.fresh_nodes, found.incarnation, found.seq) == (3, 2, 7, 3)
    assert (found.demand_now, found.demand_p50[0], found.spread[0]) == (2048, 4096, 4096)
    assert found.spread_norm[0] == pytest.approx(2048 * 2**0.5, abs=1)
    assert found.headroom_bytes == (1024,) * CLASSES


def test_a_zone_of_which_nothing_is_heard_is_told_as_empty():
    assert summed(heard([]).view(T0), 7, 1) == Digest(7, 1, 0, 0)
    gone = summed(heard([state(5)]).view(T0 + SILENT_NS + 1), 7, 1)
    assert (gone.nodes, gone.fresh_nodes, gone.demand_now) == (1, 0, 0)


@given(st.lists(st.lists(st.tuples(AMOUNTS, AMOUNTS), min_size=1, max_size=5), min_size=1, max_size=4))
def test_zones_merged_are_the_same_as_all_nodes_at_once_but_for_rounding(zones):
    told = [summed(heard([state(p50=a, p95=b) for a, b in zone]).view(T0), 7, 1) for zone in zones]
    parts = [Spreads(*(np.array(each, float) for each in (d.demand_p50, d.spread, d.spread_norm))) for d in told]
    everybody = [node for zone in zones for node in zone]
    at_once = spreads([[a] * 4 for a, _ in everybody], [[b] * 4 for _, b in everybody])
    for correlation in (0.0, 0.3, 1.0):
        expected = at_once.p95(correlation)
        spread = float(at_once.p50[0] + at_once.spread[0])
        assert np.allclose(merged(parts).p95(correlation), expected, rtol=0.01, atol=0.01 * spread + 4 * len(zones))


def test_a_digest_counts_while_it_is_fresh_and_once():
    digests = Digests()
    raw = pack_digest(Digest(7, 1, nodes=100, fresh_nodes=99))
    for _ in range(2):
        digests.told(KEYS.digest(), len(raw), lambda: raw, T0)
    assert digests.refused == 1
    assert digests.fresh(T0 + FRESH_NS)["east"].nodes == 100
    assert not digests.fresh(T0 + FRESH_NS + 1)


def test_a_router_that_was_replaced_by_an_older_one_is_believed_again_once_it_fell_silent():
    digests = Digests()
    new, old = (pack_digest(Digest(born, 1, nodes=born, fresh_nodes=0)) for born in (9, 8))
    digests.told(KEYS.digest(), len(new), lambda: new, T0)
    digests.told(KEYS.digest(), len(old), lambda: old, T0 + 1)
    assert digests.fresh(T0 + 1)["east"].nodes == 9
    assert not digests.fresh(T0 + FRESH_NS + 1)
    digests.told(KEYS.digest(), len(old), lambda: old, T0 + FRESH_NS + 2)
    assert digests.fresh(T0 + FRESH_NS + 2)["east"].nodes == 8
