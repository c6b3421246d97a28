"""The comparison is sound: the product runs as it is but for its past and its predictor, and is not told the future."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sentinel_lab import seasoning
from sentinel_lab.experiment import Plan, carried_out
from sentinel_lab.scenario import MIXED, SINGLE
from support.netns import need_data_plane

PAST_S = 120.0
ATTEMPTS = 3  # what a machine that stands still does not take off the cable in time is on no account
CHILDREN = Path("/proc/self/task")


@pytest.fixture(autouse=True)
def _able() -> None:
    need_data_plane()


def agents() -> list[int]:
    """Processes of ours that run the product's agent."""
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        try:
            line = (each / "cmdline").read_bytes()
            parent = int((each / "stat").read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == os.getpid() and (b"sentinel_lab.seasoned" in line or b"sentinel_agent" in line):
            found.append(int(each.name))
    return found


def told(pid: int) -> tuple[set[str], bytes]:
    """The files in the folder that a seasoned agent is given, and all that its command line and environment say."""
    line = Path(f"/proc/{pid}/cmdline").read_bytes()
    folder = Path(line.split(b"\0")[3].decode())
    return {each.name for each in folder.iterdir()}, line + Path(f"/proc/{pid}/environ").read_bytes()


@pytest.mark.parametrize("policy", ["predictive", pytest.param("oracle", marks=pytest.mark.slow)])
def test_the_agent_makes_room_before_the_burst_and_only_the_oracle_is_given_the_schedule(policy):
    seen: list[tuple[set[str], bytes]] = []

    def look(*_: object) -> None:
        if not seen:
            seen.extend(told(pid) for pid in agents())

    run = carried_out(Plan(SINGLE, "periodic", policy, 5.0, seed=424242, past_s=PAST_S), look)
    assert len(seen) == 1
    files, words = seen[0]
    assert (seasoning.TRUTH in files) == (policy == "oracle")
    assert b"424242" not in words
    assert b"periodic" not in words
    before = [tick for tick in run.history.of(1) if tick.at_ns < run.start_ns + 3.9e9]
    assert before[-1].limit_bytes > 2_000_000, "no room was made before the burst"
    assert before[0].limit_bytes <= 8 * SINGLE.floor_bytes, "it did not start calm"


def test_bulk_tcp_shares_the_pool_with_bursts_and_every_byte_is_accounted_for():
    for _ in range(ATTEMPTS):
        run = carried_out(Plan(MIXED, "scheduled", "reactive-10ms", 5.0))
        bursty, bystander, bulk = run.classes
        if all(each.sent == each.received + each.dropped for each in (bursty, bystander)):
            break
    assert bulk.goodput_bytes_per_s > 0.2 * MIXED.drain_bytes_per_s
    assert 0.0 < (bulk.fairness or 0.0) <= 1.0
    assert bursty.sent == bursty.received + bursty.dropped
    assert bystander.sent == bystander.received + bystander.dropped
    assert run.node.held_bytes_peak <= MIXED.pool_bytes
