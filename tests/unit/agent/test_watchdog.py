"""What systemd is told, over a real datagram socket."""

import socket
import threading

import pytest

from sentinel_agent.watchdog import Watchdog

PATIENCE_S = 30


@pytest.fixture
def systemd(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as made:
        made.bind(str(tmp_path / "notify"))
        made.settimeout(PATIENCE_S)
        yield made


def watched(systemd, stuck=lambda: "", unready=lambda: "", patience_us=30_000):
    env = {"NOTIFY_SOCKET": systemd.getsockname(), "WATCHDOG_USEC": str(patience_us)}
    made = Watchdog.of(env, stuck, unready)
    made.start()
    return made


def said(systemd):
    return systemd.recv(200).decode()


def test_it_says_ready_once_the_node_is_and_then_that_it_lives_until_it_stops(systemd):
    unready = threading.Event()
    unready.set()
    dog = watched(systemd, unready=lambda: "no tick yet" if unready.is_set() else "")
    unready.clear()
    assert said(systemd) == "READY=1"
    assert said(systemd) == "WATCHDOG=1"
    dog.stop()
    while (last := said(systemd)) == "WATCHDOG=1":
        pass
    assert last == "STOPPING=1"


def test_a_tick_that_is_stuck_is_told_and_not_covered_up(systemd):
    dog = watched(systemd, stuck=lambda: "no tick for 4.0 s")
    assert [said(systemd) for _ in range(3)] == ["READY=1", *["STATUS=no tick for 4.0 s"] * 2]
    dog.stop()


def test_without_a_listener_there_is_no_watchdog_and_one_that_left_stops_nobody(tmp_path):
    assert Watchdog.of({}, lambda: "", lambda: "") is None
    alone = Watchdog.of({"NOTIFY_SOCKET": str(tmp_path / "gone"), "WATCHDOG_USEC": "1000"}, lambda: "", lambda: "")
    alone.start()
    alone.stop()
