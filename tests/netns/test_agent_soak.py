"""A day in accelerated time: real counters and a real queue, and a clock that steps a period a tick, or several, so
that what is learned of time passes through all of the day while fewer ticks are paid for; neither memory nor
descriptors grow."""

from __future__ import annotations

import gc
import os
import time
from pathlib import Path

import numpy as np
import pytest

from sentinel_agent.clock import Beat
from sentinel_agent.lane import Brains, Lane
from sentinel_agent.loop import Loop
from sentinel_agent.plane import Place, open_plane
from sentinel_agent.predict.onnx import Cortex
from sentinel_agent.predict.smoothing import Smoothing
from sentinel_agent.report import state
from sentinel_api.v1alpha1.nodeconfig import NodeConfig
from sentinel_bpf import pins
from sentinel_bpf.buffer.port import Direction, Interface
from sentinel_bpf.probe import BPFFS
from sentinel_core.sample import PERIOD_NS
from sentinel_lab.dataplane import OBJECT
from sentinel_lab.topology import NODE_DEVICE
from support.load import figure
from support.netns import bottleneck

PORT = 9001
A_DAY = 864_000
PERIODS = int(os.environ.get("SENTINEL_SOAK_PERIODS", "1"))  # a tick; up to fifty are caught up with one by one
TICKS = int(os.environ.get("SENTINEL_SOAK_TICKS", "4000"))
SECONDS = float(os.environ.get("SENTINEL_SOAK_SECONDS", "inf"))  # of ours; then it tells how far it came
WARM_SHARE = 0.3  # until then caches fill and histories of ten minutes are laid out
BURST_EVERY = 600
LOOKS = 40  # at memory and descriptors, after the warm-up
GROWTH_BYTES = 8 << 20
CONFIG = NodeConfig.parse({"trafficClasses": [{"name": "bulk", "match": [{"protocol": "UDP", "port": PORT}]}]})


def anonymous_bytes() -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def slope_a_day(steps, amounts):
    """By least squares: what a day of periods would add at this pace."""
    return round(float(np.polyfit(steps, amounts, 1)[0]) * A_DAY)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_neither_memory_nor_descriptors_grow(monkeypatch):
    pins.mount()
    steps = 0
    with bottleneck((PORT,)) as node:
        place = Place(OBJECT, BPFFS / f"test-soak-{os.getpid()}", Interface(NODE_DEVICE, Direction.INGRESS, 10**7))
        lane = Lane(open_plane(place, CONFIG), Brains(Cortex(), Smoothing()), first_row=0)
        last = []
        loop = Loop([lane], lambda tick: last.__setitem__(slice(None), [tick]), CONFIG)
        began_ns, started_ns = time.monotonic_ns(), time.perf_counter_ns()
        monkeypatch.setattr(time, "monotonic_ns", lambda: began_ns + steps * PERIODS * PERIOD_NS)
        warm, looks = int(TICKS * WARM_SHARE), []
        for steps in range(1, TICKS + 1):
            if steps % BURST_EVERY < 10:
                node.send(PORT, 20)
            node.received(PORT)
            loop.tick(Beat(0, PERIODS - 1))
            state(last[0])
            if steps >= warm and (steps - warm) % max(1, (TICKS - warm) // LOOKS) == 0:
                gc.collect()
                looks.append((steps * PERIODS, anonymous_bytes(), descriptors()))
                if time.perf_counter_ns() - started_ns > SECONDS * 1e9 and len(looks) > 1:
                    break
        taken_s = (time.perf_counter_ns() - started_ns) / 1e9
        monkeypatch.undo()
        lane.plane.detach()
        lane.close()
    assert loop.totals.failed == 0
    at, held, files = zip(*looks, strict=True)
    grown, opened = held[-1] - held[0], files[-1] - files[0]
    figure(
        f"{steps} ticks ({steps * PERIODS / A_DAY:.1%} of a day)",
        grown_bytes=grown,
        bytes_a_day=slope_a_day(at, held),
        descriptors=opened,
        descriptors_a_day=slope_a_day(at, files),
        taken_s=round(taken_s),
        failed=0,
    )
    # What others of this process had open, an idle connection of a fixture, may be closed meanwhile.
    assert (grown < GROWTH_BYTES, opened <= 0) == (True, True), f"{grown} bytes and {opened} descriptors more"
