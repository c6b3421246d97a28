"""An agent of another ABI version was here before: its link is taken over in one step, its maps go, nothing is lost."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from sentinel_agent.plane import Place, open_plane
from sentinel_api.v1alpha1.nodeconfig import NodeConfig
from sentinel_bpf import attach, pins
from sentinel_bpf.buffer.port import Direction, Interface, Tier
from sentinel_bpf.object import ABI_VERSION
from sentinel_bpf.probe import BPFFS
from sentinel_lab.dataplane import OBJECT
from sentinel_lab.topology import NODE_DEVICE
from support.load import Load, figure
from support.netns import bottleneck

if TYPE_CHECKING:
    from collections.abc import Iterator

PORT = 9001
RATE = 10_000_000
CONFIG = NodeConfig.parse({"trafficClasses": [{"name": "bulk", "match": [{"protocol": "UDP", "port": PORT}]}]})


@pytest.fixture
def node():
    with bottleneck((PORT,)) as made:
        yield made


@pytest.fixture
def place(node) -> Iterator[Place]:
    pins.mount()
    made = Place(OBJECT, BPFFS / f"test-versions-{os.getpid()}", Interface(NODE_DEVICE, Direction.INGRESS, RATE))
    yield made
    plane = open_plane(made, CONFIG)
    plane.detach()
    plane.close()


@pytest.mark.parametrize("other", [ABI_VERSION - 1, ABI_VERSION + 1], ids=["upgrade", "downgrade"])
def test_what_an_agent_one_version_apart_left_is_taken_over_under_load(node, place, other, request):
    with Load(node, PORT) as load:
        before = open_plane(place, CONFIG)
        before.close()
        # As that agent would have left it: the same pins, below its own version, with maps that are not ours.
        root = place.pins / f"agent_{NODE_DEVICE}"
        (root / f"v{other}").mkdir()
        for pin in sorted((root / f"v{ABI_VERSION}").iterdir()):
            pin.rename(root / f"v{other}" / pin.name)
        program = attach.occupant(NODE_DEVICE)
        after = open_plane(place, CONFIG)
        assert after.verdict.tier is Tier.HTB, after.verdict.why
        assert attach.occupant(NODE_DEVICE) != program, "our own program runs now"
        assert [folder.name for folder in root.iterdir()] == [f"v{ABI_VERSION}"]
        after.close()
    lost, which = load.lost(), request.node.callspec.id
    figure(f"{which} by one ABI version", sent=load.sent, lost=lost, longest_silence_s=load.longest_silence_s)
    assert lost == 0
