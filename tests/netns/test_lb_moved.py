"""A burst that is moved to another node finds the room that was granted before its first packet came."""

from __future__ import annotations

import pytest

from sentinel_lab.bench import moved
from support.netns import need_data_plane

# Told by the balancer alone: what neighbours see coming would make room, too.
TOLD_BY_BALANCER = "sentinel_lab.deaf alarms"
# A balancer waits no longer than a second for nodes; a machine that stands still for longer proves nothing.
ATTEMPTS = 3
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def test_the_node_that_gets_a_moved_burst_has_made_room_before_its_first_packet():
    need_data_plane()
    found = []
    with moved.ready_to_move(TOLD_BY_BALANCER) as stage:
        giving, taking = stage.nodes
        for _ in range(ATTEMPTS):
            found.append(moved.one(stage, giving, taking))
            if found[-1].lead_ms > 0:
                assert found[-1].room_bytes > found[-1].calm_bytes
                return
            giving, taking = taking, giving
    pytest.fail(f"each time the burst was there before its room: {found}")
