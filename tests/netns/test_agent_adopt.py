"""A configuration that cannot be carried out just now is carried out a tick later, and not forgotten."""

from __future__ import annotations

import os

from sentinel_agent.clock import Beat
from sentinel_agent.lane import Brains, Lane
from sentinel_agent.loop import Loop
from sentinel_agent.plane import Place, open_plane
from sentinel_agent.predict.onnx import Cortex
from sentinel_agent.predict.smoothing import Smoothing
from sentinel_api.errors import Transient
from sentinel_api.v1alpha1.nodeconfig import NodeConfig
from sentinel_bpf import pins
from sentinel_bpf.buffer.port import Direction, Interface
from sentinel_bpf.probe import BPFFS
from sentinel_lab.dataplane import OBJECT
from sentinel_lab.topology import NODE_DEVICE
from support.netns import bottleneck

PORT = 9001
BEFORE = NodeConfig.parse({"trafficClasses": [{"name": "bulk", "match": [{"protocol": "UDP", "port": PORT}]}]})
AFTER = NodeConfig.parse({"trafficClasses": [{"name": "gold", "match": [{"protocol": "UDP", "port": PORT}]}]})


def test_what_fails_for_now_is_tried_again_with_the_next_tick(monkeypatch):
    pins.mount()
    with bottleneck((PORT,)):
        place = Place(OBJECT, BPFFS / f"test-adopt-{os.getpid()}", Interface(NODE_DEVICE, Direction.INGRESS, 10**7))
        lane = Lane(open_plane(place, BEFORE), Brains(Cortex(), Smoothing()), first_row=0)
        loop = Loop([lane], lambda _: None, BEFORE)

        def busy(_: NodeConfig) -> None:
            raise Transient("the kernel is busy: try again")

        loop.wanted = AFTER
        with monkeypatch.context() as patch:
            patch.setattr(lane.plane, "configure", busy)
            loop.tick(Beat(0, 0))
        assert (loop.config, loop.totals.failed) == (BEFORE, 1)
        loop.tick(Beat(1, 0))
        assert (loop.config, loop.refused) == (AFTER, "")
        lane.plane.detach()
        lane.close()
