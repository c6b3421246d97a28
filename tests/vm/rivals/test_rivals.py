"""Periodic bursts through the kernel's own disciplines and through the product's queue, on a kernel that has them all.

    tools/vm/run --inside tests/vm/rivals --kernel 6.12 --timeout 1500 --json docs/benchmarks/data/rivals.json

The guest is emulated: a tenth of the packets over a tenth of the link, so that it keeps up, and figures are ratios. Not
among the lane's own tests, since it takes minutes.
"""

from __future__ import annotations

import pytest

from sentinel_lab import disciplines, experiment
from sentinel_lab.experiment import Plan
from sentinel_lab.scenario import SINGLE

TENTH = SINGLE.times(0.1)
SECONDS = 8.0
ATTEMPTS = 3
RULES = ("static-small", "static-large", "reactive-10ms", "reactive-100ms")


def plan(policy: str = "static-small") -> Plan:
    return Plan(TENTH, "periodic", policy, SECONDS)


@pytest.mark.parametrize("discipline", disciplines.DISCIPLINES)
def test_every_packet_is_received_or_dropped_by_the_discipline(discipline, record_property):
    for _ in range(ATTEMPTS):
        found = disciplines.carried_out(plan(), discipline)
        if not found.dirt:
            break
    record_property(f"{discipline} clean", str(not found.dirt))
    for each in found.classes:
        record_property(f"{discipline} {each.name} dropped %", f"{each.drop_percent:.2f}")
        record_property(f"{discipline} {each.name} delay p50 ms", f"{each.delay_ms_p50:.1f}")
        record_property(f"{discipline} {each.name} delay p99 ms", f"{each.delay_ms_p99:.1f}")
    assert found.lost == found.dropped


@pytest.mark.parametrize("rule", RULES)
def test_the_products_queue_takes_the_same_packets(rule, record_property):
    for _ in range(ATTEMPTS):
        found = experiment.carried_out(plan(rule))
        if not found.dirt:
            break
    record_property(f"{rule} clean", str(not found.dirt))
    for each in found.classes:
        record_property(f"{rule} {each.name} dropped %", f"{each.drop_percent:.2f}")
        record_property(f"{rule} {each.name} delay p50 ms", f"{each.delay_ms_p50:.1f}")
        record_property(f"{rule} {each.name} delay p99 ms", f"{each.delay_ms_p99:.1f}")
        assert each.sent == each.received + each.dropped
