"""Chaos: load and one random fault after another on a whole front; what must hold is looked at after each."""

import json
import os
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import shipped
from support.cluster.provider import Cluster
from support.front import BUFFERS, EDGES
from support.front_faults import FAULTS, befall, write
from support.front_record import recorded

OUT = Path(__file__).resolve().parents[2] / "out/e2e"
MINUTES = float(os.environ.get("SENTINEL_SOAK_MINUTES") or 3)
SEED = int(os.environ.get("SENTINEL_SOAK_SEED") or time.time())
GROWTH = 1.5  # a process that lives on may take so much more than after the first fault

pytestmark = [pytest.mark.apart, pytest.mark.soak, pytest.mark.timeout(60 * MINUTES + 1500)]


def chosen(seed: int) -> Iterator:
    """Every fault once before any comes twice, in an order of its own."""
    chance = random.Random(seed)
    while True:
        yield from chance.sample(FAULTS, len(FAULTS))


def test_faults_in_any_order_leave_no_trace(stage, vip):
    sys.stderr.write(f"\nsoak: {MINUTES:g} minutes; make soak SEED={SEED} repeats the order\n")
    with recorded(stage, OUT / "soak"):
        befallen(stage, vip)


def befallen(stage: Cluster, vip: str) -> None:
    rows, before = [], None
    ends = time.monotonic() + 60 * MINUTES
    for fault in chosen(SEED):
        row = befall(stage, vip, fault)
        rows.append(row)
        sys.stderr.write(f"soak: {row}\n")
        write(OUT, "soak", rows)
        if fault.lossless:
            assert row["why"] == [], f"seed {SEED}, what was told meanwhile is in {OUT / 'soak'}: {row}"
        assert overdrawn(stage) == {}, f"seed {SEED}: after {fault.name}"
        after = held(stage)
        before = before or after
        assert grown(before, after) == {}, f"seed {SEED}: after {fault.name}"
        if time.monotonic() > ends:
            return


def overdrawn(cluster: Cluster) -> dict[str, dict]:
    """Nodes whose classes got more than there is."""
    buffers = {each["metadata"]["name"]: each["status"]["buffer"] for each in shipped.items(cluster, "bufn")}
    return {name: each for name, each in buffers.items() if each["grantedBytes"] > each["poolBytes"]}


def held(cluster: Cluster) -> dict[str, float]:
    """By node and kind: descriptors and memory of our processes, and pins."""
    found: dict[str, float] = {}
    for node in (*EDGES, *BUFFERS):
        told = cluster.run(node, "python3", "-c", LOOK).stdout
        found |= {f"{node} {kind}": float(amount) for kind, amount in json.loads(told).items()}
    return found


LOOK = """
import json, pathlib
ours = []
for each in pathlib.Path("/proc").glob("[0-9]*"):
    try:
        if any(name in (each / "cmdline").read_bytes() for name in (b"sentinel-agent", b"sentinel-lb")):
            ours.append((len(list((each / "fd").iterdir())), int((each / "statm").read_text().split()[1])))
    except OSError:
        pass
pins = sum(1 for _ in pathlib.Path("/run/sentinel/bpf").rglob("*"))
print(json.dumps({"descriptors": sum(n for n, _ in ours), "pages": sum(n for _, n in ours), "pins": pins}))
"""


def grown(before: dict[str, float], after: dict[str, float]) -> dict[str, tuple[float, float]]:
    return {each: (before[each], now) for each, now in after.items() if now > GROWTH * max(before[each], 1)}
