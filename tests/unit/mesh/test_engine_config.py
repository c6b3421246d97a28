"""What every session is told, whatever its place."""

import pytest

from sentinel_mesh.engine_config import connected, settings
from sentinel_mesh.place import Place

PEER = Place("c", "n1", 1, ("tcp/10.0.0.1:7447",), ("tcp/10.0.0.1:7447", "tcp/10.0.0.2:7447"))
CLIENT = Place("c", "n1", 1, (), routers=("tcp/10.0.0.9:7447",))
CHOSEN = {"peer": settings(PEER), "client": settings(CLIENT), "router": connected(PEER, "router", PEER.listen, ())}


@pytest.mark.parametrize("chosen", CHOSEN.values(), ids=CHOSEN)
def test_a_thousand_nodes_and_their_balancers_find_room(chosen):
    assert chosen["transport/unicast/max_sessions"] > 1024
    assert chosen["transport/shared_memory/enabled"] is False, "with it the 352nd session of a machine fails"


@pytest.mark.parametrize("chosen", CHOSEN.values(), ids=CHOSEN)
def test_nobody_is_found_by_shouting(chosen):
    assert not any(chosen[f"scouting/{way}/enabled"] for way in ("multicast", "gossip"))


def test_a_client_asks_each_router_once_and_the_next_after_it():
    """Else the engine waits for the first for ever, though the second would answer."""
    assert CHOSEN["client"]["connect/timeout_ms"] == 0
    assert CHOSEN["client"]["connect/endpoints"] == CLIENT.routers
    assert CHOSEN["peer"]["connect/timeout_ms"] == -1, "peers that are not there yet are waited for"
