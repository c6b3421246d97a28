"""A class whose limit its longest wait keeps as low as it may be still takes the largest frame of its device."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

from sentinel_agent.act.orders import OrderTable
from sentinel_agent.decide.policy import Chosen, Moment, decide, standing
from sentinel_agent.plane import Place, Plane, open_plane
from sentinel_api.v1alpha1.nodeconfig import NodeConfig
from sentinel_bpf import pins
from sentinel_bpf.buffer.port import CLASSES, Direction, Interface
from sentinel_bpf.probe import BPFFS
from sentinel_core.room import Seen, start
from sentinel_lab.dataplane import OBJECT
from sentinel_lab.namespaces import run
from sentinel_lab.topology import NODE_DEVICE, RECEIVER, SENDER
from support.netns import Bottleneck, bottleneck, wait_until
from support.tier_a import EXIT_DEVICE

if TYPE_CHECKING:
    from collections.abc import Iterator

PORT, BULK = 9001, 1
RATE = 100_000  # bytes a second: what may wait for a millisecond is a tenth of an ordinary frame
JUMBO, DATAGRAM = 9_000, 8_900
HOUR_NS = 3600 * 10**9
CONFIG = NodeConfig.model_validate(
    {"trafficClasses": [{"name": "bulk", "maxDelayMillis": 1, "match": [{"protocol": "UDP", "port": PORT}]}]}
)
HERE = Interface(NODE_DEVICE, Direction.INGRESS, RATE)


@pytest.fixture
def wires() -> Iterator[Bottleneck]:
    with bottleneck((PORT,)) as made:
        for role, device in ((SENDER, "out"), (RECEIVER, "in")):
            made.spaces[role].ip("link", "set", device, "mtu", str(JUMBO))
        for device in (NODE_DEVICE, EXIT_DEVICE):
            run("ip", "link", "set", device, "mtu", str(JUMBO))
        yield made


@pytest.fixture
def plane(wires) -> Iterator[Plane]:
    pins.mount()
    made = open_plane(Place(OBJECT, BPFFS / f"test-jumbo-{os.getpid()}", HERE), CONFIG)
    yield made
    made.detach()
    made.close()


def decided(plane: Plane) -> Chosen:
    """What a calm tick gives each class."""
    rules = standing(CONFIG, RATE, frames_bytes=[plane.frame_bytes])
    nothing = np.zeros(CLASSES, np.int64)
    seen = Seen(10**9, np.zeros(CLASSES), rules.share_bps, nothing, nothing, rules.share_bps > 0)
    return decide(rules, seen, None, start(0, CLASSES), Moment(0, 500))


def test_its_largest_frames_arrive_one_by_one(wires, plane):
    run("ip", "link", "set", NODE_DEVICE, "mtu", "1500")
    assert decided(plane).limit_bytes[BULK] == 2 * 1514
    run("ip", "link", "set", NODE_DEVICE, "mtu", str(JUMBO))
    given = decided(plane)
    plane.buffer.resize(given.limit_bytes)
    OrderTable(plane).write(given.orders, time.monotonic_ns() + HOUR_NS)
    for count in range(1, 6):
        wires.send(PORT, 1, size=DATAGRAM)
        wait_until(lambda so_far=count: wires.received_in_all(PORT) == so_far, "a jumbo frame")
    assert 2 * DATAGRAM < given.limit_bytes[BULK] < 3 * JUMBO, "two frames, whatever they may wait"
    found = plane.buffer.read()[BULK]
    assert (found.sent_packets, found.drops) == (5, 0)
