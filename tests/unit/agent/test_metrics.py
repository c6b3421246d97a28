"""Metrics: every one is described, every description is exported, and names follow Prometheus' conventions."""

import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from sentinel_agent.described import FAMILIES
from sentinel_agent.loans import Loans
from sentinel_agent.logs import LogCollector, Lossy
from sentinel_agent.loop import Totals
from sentinel_agent.metrics import TickCollector
from sentinel_agent.sinks.sink import SinkCollector
from sentinel_agent.timing import STAGES, Timings
from sentinel_api.records import CLASSES
from sentinel_bpf.buffer.port import Reading
from sentinel_core.shadow import Shadow
from support.ticks import tick

NAMES = ("eth0", "eth1")


def loop_of(made):
    """What the collector reads of a loop, with its counters at work."""
    timings = Timings()
    for _ in range(3):
        timings.begin()
        for _ in STAGES:
            timings.lap()
    lanes = [
        SimpleNamespace(
            name=lane.interface.name,
            names=lane.names,
            trouble="",
            fault="",
            first_row=lane.first_row,
            plane=SimpleNamespace(verdict=lane.verdict, enforcing=True),
            flows=SimpleNamespace(flows=7, evicted=2, unclassified=3, floor_bytes=np.arange(16)),
        )
        for lane in made.lanes
    ]
    loans = Loans(len(lanes) * CLASSES)
    rows = len(lanes) * CLASSES
    shadow = Shadow(np.full(rows, 1e6), np.full(rows, True))
    counted = Totals(ticks=3)
    return SimpleNamespace(totals=counted, timings=timings, lanes=lanes, fallbacks=1, loans=loans, shadow=shadow)


def timed(lane):
    """What was seen of it, with a queue that tells of each class how long packets waited."""
    readings = {each: Reading(0, 0, 1, 0, 3, 0, (1,) * 96) for each in lane.names}
    return replace(lane.observed, readings=readings, pid_output=np.zeros(CLASSES))


@pytest.fixture
def exported():
    quiet = tick(names=NAMES)
    made = replace(quiet, lanes=tuple(replace(lane, observed=timed(lane)) for lane in quiet.lanes))
    registry = CollectorRegistry()
    registry.register(TickCollector(lambda: loop_of(made), lambda: made))
    registry.register(SinkCollector(()))
    registry.register(LogCollector(Lossy()))
    return registry


def test_every_description_is_exported_and_nothing_else(exported):
    found = {family.name for family in exported.collect()}
    assert found == {name for name in FAMILIES if not name.startswith("sentinel_mesh")}


def test_every_sample_has_the_labels_that_are_described(exported):
    for family in exported.collect():
        for sample in family.samples:
            assert set(sample.labels) - {"le"} == set(FAMILIES[family.name].labels), family.name


def test_names_follow_the_conventions():
    for each in FAMILIES.values():
        assert re.fullmatch(r"sentinel_[a-z_]+", each.name)
        assert not each.name.endswith("_total"), "the exporter adds it"
        assert not re.search(r"_(ms|us|micros|kb|mib|percent)$", each.name), "base units only"
        assert each.text.endswith(".")


def told_of(**observed):
    """What is exported of one interface whose class 1 was seen so."""
    made = tick(names=("eth0",))
    lane = replace(made.lanes[0], observed=replace(made.lanes[0].observed, **observed))
    families = TickCollector(lambda: loop_of(made), lambda: replace(made, lanes=(lane,))).collect()
    return {
        (each.name, each.labels.get("le")): each.value
        for family in families
        for each in family.samples
        if each.labels.get("class") == lane.names[1]
    }


def test_times_in_the_queue_are_counted_up_to_each_bound():
    """Two packets of just above 64 µs, one of just above a second; the kernel has four buckets an octave of µs."""
    waited = [0] * 96
    waited[24], waited[80] = 2, 1
    told = told_of(readings={1: Reading(0, 0, 1, 0, 3, 0, tuple(waited))})
    name = "sentinel_class_waited_seconds"
    bounds = ("6.4e-05", "0.000256", "0.262144", "1.048576", "+Inf")
    assert [told[f"{name}_bucket", bound] for bound in bounds] == [0, 2, 2, 2, 3]
    assert told[f"{name}_count", None] == 3
    assert told[f"{name}_sum", None] == pytest.approx(1.18, rel=0.02)


def test_where_a_tier_cannot_time_packets_no_time_is_told():
    told = told_of(readings={1: Reading(0, 0, 1, 0, 3, 0)})
    assert ("sentinel_class_waited_seconds_count", None) not in told


def test_the_controllers_output_is_told_where_there_is_one():
    assert told_of(pid_output=np.arange(16) / 16)["sentinel_class_pid_output", None] == 1 / 16
    assert ("sentinel_class_pid_output", None) not in told_of(pid_output=None)


def test_the_number_of_series_is_bounded(exported):
    """Eight interfaces of sixteen classes are the most; two of them show what each costs."""
    lines = [line for line in generate_latest(exported).decode().splitlines() if not line.startswith("#")]
    assert len(lines) <= 2 * 16 * 36 + 120
