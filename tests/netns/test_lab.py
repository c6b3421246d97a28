"""The lab cleans up after itself and after the dead, and its figures add up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sentinel_lab.experiment import Plan, carried_out
from sentinel_lab.namespaces import NAMES, Namespace, remove_leftovers
from sentinel_lab.policies import PRODUCT
from sentinel_lab.scenario import FLOOD, FLOWS, SINGLE
from sentinel_lab.topology import SINGLE_BOTTLENECK, built
from support.netns import need_data_plane, wait_until

BUILD_AND_WAIT = """
import subprocess, time
from sentinel_lab.topology import SINGLE_BOTTLENECK, built
with built(SINGLE_BOTTLENECK) as spaces:
    with spaces["node"].entered():
        child = subprocess.Popen(["sleep", "9999"])
    print("up", child.pid, flush=True)
    time.sleep(99)
"""
COMMAND = [sys.executable, "-m", "sentinel_cli"]


@pytest.fixture(autouse=True)
def _able() -> None:
    need_data_plane()


def ours() -> list[str]:
    return [each.name for each in NAMES.iterdir() if each.name.startswith(f"sn-{os.getpid()}-")]


def test_a_topology_is_gone_after_its_block_even_when_that_fails():
    def fail_inside() -> None:
        with built(SINGLE_BOTTLENECK):
            assert len(ours()) == 3
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        fail_inside()
    assert ours() == []


def test_what_a_killed_process_left_is_removed_at_the_next_start():
    with subprocess.Popen([sys.executable, "-c", BUILD_AND_WAIT], stdout=subprocess.PIPE, text=True) as made:
        assert made.stdout is not None
        up, child = made.stdout.readline().split()
        assert up == "up"
        left = {Namespace(role, made.pid).name for role in SINGLE_BOTTLENECK.roles}
        assert left <= {each.name for each in NAMES.iterdir()}
        made.send_signal(signal.SIGKILL)
    remove_leftovers()  # another test's start may do it at the same moment
    wait_until(lambda: not left & {each.name for each in NAMES.iterdir()}, "what it left is gone")
    ended = Path("/proc", child, "cmdline")
    wait_until(lambda: not ended.exists() or not ended.read_bytes(), "the process in it has ended")


@pytest.mark.parametrize("policy", ["static-small", PRODUCT])
def test_every_packet_of_a_run_is_received_or_counted_as_dropped(policy):
    run = carried_out(Plan(SINGLE, "periodic", policy, 5.0))
    for each in run.classes:
        assert each.sent == each.received + each.dropped
        assert each.received > 0
    assert run.bursts == ((4.0, 5.0),)
    limits = run.history.series(SINGLE.bursty.id, "limit_bytes")
    assert limits.max() <= SINGLE.pool_bytes
    assert ours() == []
    if policy == PRODUCT:
        assert limits.max() > 4 * SINGLE.floor_bytes, "the agent made no room for the burst"
        assert run.history.events, "the agent said nothing about why"
    else:
        assert run.bursty.dropped > 0


def test_every_syn_of_a_flood_reaches_the_host_or_is_counted_as_dropped_in_the_class_it_floods():
    run = carried_out(Plan(FLOOD, "synflood", "static-small", 6.0))
    assert run.bursty.flood_sent > 10_000
    assert run.bursty.sent == run.bursty.received + run.bursty.dropped
    assert 0 < run.bursty.flood_received < run.bursty.flood_sent
    assert run.bursts[0][0] >= 2.0


def test_the_five_flow_types_share_a_node_each_with_its_own_shape():
    run = carried_out(Plan(FLOWS, FLOWS.bursty.pattern, "static-large", 3.0))
    assert [each.name for each in run.classes] == ["llm", "database", "cache", "network", "telemetry"]
    for each in run.classes:
        assert each.sent == each.received + each.dropped
        assert each.received > 0


def test_the_demo_prints_its_figures_and_leaves_a_report_of_one_file(tmp_path):
    done = subprocess.run(
        [*COMMAND, "demo", "--seconds", "5", "--policy", "reactive-10ms", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    figures = json.loads(done.stdout)
    assert figures["classes"][0]["sent"] == 14_000
    report = (tmp_path / figures["report"]).read_text()
    assert "data:image/png;base64," in report
    assert 'src="http' not in report


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (("demo", "--pattern", "tidal"), "periodic"),
        (("demo", "--seconds", "0"), "greater than zero"),
        (("demo", "--policy", "clairvoyant"), "static-small"),
        (("demo", "--pattern", "trace:nowhere.csv"), "nowhere.csv"),
        (("demo", "--nodes", "0"), "1 to 8"),
        (("demo", "--nodes", "3", "--policy", "static-small"), "--policy"),
        (("bench", "burst", "--seconds", "0"), "greater than zero"),
        (("bench", "burst", "--pattern", "tidal"), "periodic"),
    ],
)
def test_a_wrong_argument_is_one_sentence_and_exit_code_2(arguments, names):
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert names in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_without_root_the_demo_can_be_simulated(tmp_path):
    tmp_path.chmod(0o777)
    for parent in tmp_path.parents[:3]:
        parent.chmod(0o755)
    nobody = ["setpriv", "--reuid=65534", "--clear-groups"]
    done = subprocess.run(
        [*nobody, *COMMAND, "demo", "--simulate", "--seconds", "5", "--past", "0", "--json"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True,
        env=os.environ | {"MPLCONFIGDIR": str(tmp_path)},
    )  # fmt: skip
    figures = json.loads(done.stdout)
    assert figures["simulated"]
    assert figures["classes"][0]["sent"] == 14_000


def test_without_root_the_demo_says_so_and_exits_with_2():
    assert Path("/usr/bin/setpriv").exists()
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--clear-groups", *COMMAND, "demo"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "root" in done.stderr
