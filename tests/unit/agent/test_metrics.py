"""Metrics: every one is described, every description is exported, and names follow Prometheus' conventions."""

import re
from types import SimpleNamespace

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from sentinel_agent import reference
from sentinel_agent.described import FAMILIES
from sentinel_agent.loans import Loans
from sentinel_agent.logs import LogCollector, Lossy
from sentinel_agent.loop import Totals
from sentinel_agent.metrics import TickCollector
from sentinel_agent.sinks.sink import SinkCollector
from sentinel_agent.timing import STAGES, Timings
from sentinel_api.records import CLASSES
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


@pytest.fixture
def exported():
    made = tick(names=NAMES)
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


def test_the_number_of_series_is_bounded(exported):
    """Eight interfaces of sixteen classes are the most; two of them show what each costs."""
    lines = [line for line in generate_latest(exported).decode().splitlines() if not line.startswith("#")]
    assert len(lines) <= 2 * 16 * 27 + 120


def test_the_reference_page_is_up_to_date():
    assert reference.PAGE.read_text() == reference.page(), "run `python -m sentinel_agent.reference`"
