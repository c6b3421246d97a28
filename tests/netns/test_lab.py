"""The lab cleans up after itself and after the dead, and its figures add up."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sentinel_lab.experiment import Plan, Run, carried_out
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
PATIENCE_S = 240  # only ends a hang
ATTEMPTS = 3


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


def accounted_for(plan: Plan, *names: str) -> Run:
    """A cable holds few packets: what a machine that stands still does not take off it in time is on no account. So one
    of a few runs must add up."""
    for _ in range(ATTEMPTS):
        run = carried_out(plan)
        if all(each.sent == each.received + each.dropped for each in run.classes if not names or each.name in names):
            return run
    pytest.fail(f"each time packets were lost that nobody counted: {run.classes}")


@pytest.mark.parametrize("policy", ["static-small", PRODUCT])
def test_every_packet_of_a_run_is_received_or_counted_as_dropped(policy):
    run = accounted_for(Plan(SINGLE, "periodic", policy, 5.0))
    assert all(each.received > 0 for each in run.classes)
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
    run = accounted_for(Plan(FLOOD, "synflood", "static-small", 6.0), FLOOD.bursty.name)
    assert run.bursty.flood_sent > 10_000
    assert 0 < run.bursty.flood_received < run.bursty.flood_sent
    assert run.bursts[0][0] >= 2.0


def test_the_five_flow_types_share_a_node_each_with_its_own_shape():
    run = accounted_for(Plan(FLOWS, FLOWS.bursty.pattern, "static-large", 3.0))
    assert [each.name for each in run.classes] == ["llm", "database", "cache", "network", "telemetry"]
    assert all(each.received > 0 for each in run.classes)


def test_the_demo_prints_its_figures_and_leaves_a_report_of_one_file(tmp_path):
    done = subprocess.run(
        [*COMMAND, "demo", "--seconds", "5", "--policy", "reactive-10ms", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
        timeout=PATIENCE_S,
    )
    figures = json.loads(done.stdout)
    assert figures["classes"][0]["sent"] == 14_000
    report = (tmp_path / figures["report"]).read_text()
    assert "data:image/png;base64," in report
    assert 'src="http' not in report


@pytest.mark.slow
def test_ctrl_c_ends_the_demo_and_leaves_nothing_behind(tmp_path):
    heeding = ("env", "--default-signal=INT")  # what runs in a shell's background is born deaf to it
    command = [*heeding, *COMMAND, "demo", "--seconds", "300", "--policy", "static-small", "--json"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as demo:
        mine = {Namespace(role, demo.pid).name for role in SINGLE_BOTTLENECK.roles}
        wait_until(lambda: mine <= {each.name for each in NAMES.iterdir()}, "the demo has built its namespaces")
        demo.send_signal(signal.SIGINT)
        assert demo.wait(120) == 130
    assert not mine & {each.name for each in NAMES.iterdir()}


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (("demo", "--pattern", "tidal"), "periodic"),
        (("bench", "burst", "--seconds", "0"), "greater than zero"),
    ],
)
def test_a_wrong_argument_is_one_sentence_and_exit_code_2(arguments, names):
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 2
    assert names in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_without_root_the_demo_can_be_simulated(reachable):
    reachable.chmod(0o777)
    nobody = ["setpriv", "--reuid=65534", "--clear-groups"]
    done = subprocess.run(
        [*nobody, *COMMAND, "demo", "--simulate", "--seconds", "5", "--past", "0", "--json"],
        cwd=reachable, capture_output=True, text=True, timeout=PATIENCE_S, check=True,
        env=os.environ | {"MPLCONFIGDIR": str(reachable)},
    )  # fmt: skip
    figures = json.loads(done.stdout)
    assert figures["simulated"]
    assert figures["classes"][0]["sent"] == 14_000


def test_without_root_the_demo_says_so_and_exits_with_2():
    assert Path("/usr/bin/setpriv").exists()
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--clear-groups", *COMMAND, "demo"],
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "root" in done.stderr
