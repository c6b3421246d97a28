"""`sentinel bench failover` measures what it says: one blow of the hardest kind, and its figures fit together."""

import pytest

from sentinel_lab.bench.failover import NODES, _row, figures
from sentinel_lab.failover.blows import BLOWS
from sentinel_lab.failover.calls import answering, note_ports
from sentinel_lab.failover.stage import staged
from sentinel_lab.topology import RECEIVER

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # three agents and a balancer come and go


def test_a_cut_is_counted_and_connections_behind_its_nat_table_are_not_answered_as_if_they_lived():
    with staged(NODES, behind_nat=True) as stage, answering(stage.spaces[RECEIVER]):
        note_ports([stage.spaces[role] for role in stage.nodes])
        found = BLOWS["nat"].carried_out(stage, stage.nodes[0])
        stage.await_ready()
    row = _row("nat", found)
    assert row["sent"] > 0
    assert 0 <= row["flows_lived"] <= row["flows_hit"]
    assert (row["lost"] > 0) == (row["lost_ms"] > 0)
    assert row["calls_answered"] == 0, "nobody else knows a connection of the node that died"
    told = figures([row | {"dirt": ""}])  # a receiver that was too slow for what came spoils a sample, not the sums
    assert not row["flows_hit"] or told["nat.lost_ms_max"] == row["lost_ms"]
