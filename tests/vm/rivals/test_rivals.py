"""Periodic bursts through the kernel's own disciplines and two plain FIFOs, on a kernel that has them all.

    tools/vm/run --inside tests/vm/rivals --kernel 6.12 --counted --timeout 1400 --json docs/benchmarks/data/rivals.json

The guest is emulated: a tenth of the packets over a tenth of the link, so that it keeps up, and figures are ratios. Not
among the lane's own tests, since it takes minutes.
"""

from __future__ import annotations

import sys

import pytest

from sentinel_lab import disciplines


@pytest.mark.parametrize("discipline", disciplines.DISCIPLINES)
def test_every_packet_is_received_or_dropped_by_the_discipline(discipline, record_property, capsys):
    found = disciplines.carried_out(disciplines.PLAN, discipline)
    with capsys.disabled():
        sys.stdout.write(f"\n{found}\n")  # a guest that is ended before its last test has told the ones before
    record_property(f"{discipline} clean", str(not found.dirt))
    for each in found.classes:
        record_property(f"{discipline} {each.name} dropped %", f"{each.drop_percent:.2f}")
        record_property(f"{discipline} {each.name} delay p50 ms", f"{each.delay_ms_p50:.1f}")
        record_property(f"{discipline} {each.name} delay p99 ms", f"{each.delay_ms_p99:.1f}")
    assert found.lost == found.dropped
