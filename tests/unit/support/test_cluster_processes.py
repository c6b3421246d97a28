"""Processes end as a group, are told apart from strangers, and die with their owner."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from support.cluster.errors import ClusterError
from support.cluster.processes import Identity, Process, end_recorded, wait_until


def test_a_process_is_known_by_its_record_and_gone_after_stop(tmp_path: Path) -> None:
    process = Process("sleeper", ["sleep", "60"], tmp_path)
    process.start()
    identity = process.identity
    assert identity is not None
    assert identity.alive
    process.stop()
    assert not identity.alive
    assert not process.record.exists()


def test_the_whole_group_ends_with_its_leader(tmp_path: Path) -> None:
    process = Process("family", ["sh", "-c", "sleep 60 & echo $!; wait"], tmp_path)
    process.start()
    wait_until("the child", lambda: process.log.read_text().endswith("\n"), 10)
    child = Identity.of(int(process.log.read_text()))
    process.kill()
    assert child is not None
    assert not child.alive


def test_one_that_ignores_the_request_is_ended_by_force(tmp_path: Path) -> None:
    process = Process("deaf", ["sh", "-c", "trap '' TERM; echo deaf; while :; do sleep 1; done"], tmp_path)
    process.start()
    wait_until("the trap", lambda: "deaf" in process.log.read_text(), 10)
    process.stop(grace_s=0.1)
    assert not process.running


def test_a_stranger_with_the_same_id_is_left_alone(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as stranger:
        found = Identity.of(stranger.pid)
        assert found is not None
        Identity(found.pid, found.started_ticks - 1).end(grace_s=0.1)
        assert found.alive
        stranger.kill()


def test_a_later_run_ends_what_is_on_record(tmp_path: Path) -> None:
    process = Process("orphan", ["sleep", "60"], tmp_path, tied=False)
    process.start()
    identity = process.identity
    end_recorded(tmp_path)
    assert identity is not None
    assert not identity.alive
    process.stop()


@pytest.mark.parametrize("tied", [True, False])
def test_only_a_tied_process_dies_with_its_owner(tmp_path: Path, tied: bool) -> None:
    script = (
        "import pathlib, sys, os\n"
        "from support.cluster.processes import Process\n"
        f"Process('child', ['sleep', '60'], pathlib.Path(sys.argv[1]), tied={tied}).start()\n"
        "os._exit(0)\n"
    )
    tests = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", script, tmp_path], check=True, env=os.environ | {"PYTHONPATH": str(tests)})
    identity = Identity.read(tmp_path / "processes" / "child.json")
    assert identity is not None
    assert identity.wait(120 if tied else 0.2) is tied
    identity.signal_group(signal.SIGKILL)
    assert identity.wait(120)


def test_a_death_is_reported_with_the_logs_end(tmp_path: Path) -> None:
    go = tmp_path / "go"
    process = Process("short", ["sh", "-c", f"until [ -e {go} ]; do sleep 0.02; done; echo no key >&2"], tmp_path)
    process.start()
    go.touch()
    wait_until("its end", lambda: not process.running, 60)
    with pytest.raises(ClusterError, match=r"(?s)short died; its log .* ends:\nno key"):
        process.check()
    process.stop()


def test_waiting_in_vain_says_for_what(tmp_path: Path) -> None:
    started = time.monotonic()
    with pytest.raises(ClusterError, match=r"Waited 0\.05 s in vain for Godot\."):
        wait_until("Godot", lambda: False, 0.05)
    assert time.monotonic() >= started + 0.05


def test_a_process_lives_while_a_thread_of_it_does(tmp_path: Path) -> None:
    """Its first thread is a zombie then, and its sockets are still open."""
    script = (
        "import ctypes, threading, time\n"
        "threading.Thread(target=time.sleep, args=(60,)).start()\n"
        "print('leaving', flush=True)\n"
        "ctypes.CDLL(None).pthread_exit(None)\n"
    )
    process = Process("headless", [sys.executable, "-c", script], tmp_path)
    process.start()
    identity = process.identity
    assert identity is not None
    state = Path(f"/proc/{identity.pid}/stat")
    wait_until("the first thread's end", lambda: state.read_text().rpartition(")")[2].split()[0] == "Z", 30)
    assert identity.alive
    process.kill()
    assert not identity.alive
