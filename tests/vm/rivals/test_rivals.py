"""Periodic bursts through the kernel's own disciplines and two plain FIFOs, on a kernel that has them all.

    tools/vm/run --inside tests/vm/rivals --kernel 6.12 --counted --timeout 1400 --json docs/benchmarks/data/rivals.json

The guest is emulated: a tenth of the packets over a tenth of the link, so that it keeps up, and figures are ratios. Not
among the lane's own tests, since it takes minutes.
"""

from __future__ import annotations

import pytest

from sentinel_lab import disciplines
from sentinel_lab.experiment import Plan
from sentinel_lab.scenario import SINGLE

TENTH = SINGLE.times(0.1)
SECONDS = 7.0


@pytest.mark.parametrize("discipline", disciplines.DISCIPLINES)
def test_every_packet_is_received_or_dropped_by_the_discipline(discipline, record_property):
    found = disciplines.carried_out(Plan(TENTH, "periodic", "static-small", SECONDS), discipline)
    record_property(f"{discipline} clean", str(not found.dirt))
    for each in found.classes:
        record_property(f"{discipline} {each.name} dropped %", f"{each.drop_percent:.2f}")
        record_property(f"{discipline} {each.name} delay p50 ms", f"{each.delay_ms_p50:.1f}")
        record_property(f"{discipline} {each.name} delay p99 ms", f"{each.delay_ms_p99:.1f}")
    assert found.lost == found.dropped
