"""While a device's root qdisc is exchanged what leaves is led aside: nothing is lost, and its order is kept."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest
from structlog.testing import capture_logs

from sentinel_agent import plane
from sentinel_api.errors import Invalid, Transient
from sentinel_bpf.buffer import detour, holding, standing, succession
from sentinel_bpf.buffer.plumbing import Plumbing, queue_device
from sentinel_bpf.buffer.port import Direction, Interface, Toll
from sentinel_bpf.buffer.standing import wait_out
from sentinel_lab.dataplane import OBJECT
from sentinel_lab.namespaces import run
from sentinel_lab.topology import RECEIVER_ADDRESS
from support.netns import bottleneck, wait_until, without_ipv6
from support.tier_a import EXIT_DEVICE

PORT = 9101
RATE = 12_500_000
KINDS = ("bfifo", "pfifo")


class Way:
    """From this namespace to the receiver, packet by numbered packet."""

    def __init__(self, wires):
        self._incoming = wires.incoming[PORT]
        self._outgoing = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.index = socket.if_nametoindex(EXIT_DEVICE)
        self.sent = 0
        self.arrived: list[int] = []

    def send(self, count):
        for _ in range(count):
            self._outgoing.sendto(self.sent.to_bytes(4, "big"), (RECEIVER_ADDRESS, PORT))
            self.sent += 1

    def look(self):
        try:
            while True:
                self.arrived.append(int.from_bytes(self._incoming.recv(64, socket.MSG_DONTWAIT), "big"))
        except BlockingIOError:
            return self.arrived

    def all_arrived(self):
        return len(self.look()) >= self.sent

    def close(self):
        self._outgoing.close()


@pytest.fixture
def way():
    with bottleneck((PORT,)) as wires:
        without_ipv6()
        made = Way(wires)
        made.send(1)  # the neighbour is known from now on
        wait_until(made.all_arrived, "the first packet")
        yield made
        made.close()


def exchange(kind, handle=1):
    run("tc", "qdisc", "replace", "dev", EXIT_DEVICE, "root", "handle", f"{handle}:", kind, "limit", "1000000")


def devices():
    return [line.split(": ")[1] for line in run("ip", "-o", "link").splitlines()]


def test_what_leaves_is_held_until_the_exchange_is_over_and_keeps_its_order(way):
    before = devices()
    with detour.around(OBJECT.parent, way.index, RATE, Toll()):
        way.send(50)
        exchange("bfifo")
        way.send(50)
        assert way.look() == [0]
    wait_until(way.all_arrived, "all that was held")
    way.send(1)
    wait_until(way.all_arrived, "one that went straight on")
    assert way.arrived == list(range(102))
    assert devices() == before


def test_what_fails_meanwhile_ends_the_detour_and_loses_nothing(way):
    before = devices()

    def broken():
        with detour.around(OBJECT.parent, way.index, RATE, Toll()):
            way.send(20)
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        broken()
    wait_until(way.all_arrived, "all that was held")
    assert devices() == before


def leftover(way, peer="02:4e"):
    """As a process leaves it that dies in the middle."""
    number = way.index.to_bytes(4, "big").hex(":")
    here, there = f"sn-h{way.index}", f"sn-b{way.index}"
    ends = ("add", here, "address", f"02:53:{number}", "type", "veth", "peer", there, "address", f"{peer}:{number}")
    run("ip", "link", *ends)


def test_the_holding_device_of_who_died_in_the_middle_is_in_nobodys_way(way):
    leftover(way)
    with detour.around(OBJECT.parent, way.index, RATE, Toll()):
        way.send(5)
    wait_until(way.all_arrived, "all that was held")


def test_a_strangers_device_of_that_name_stays_and_the_exchange_goes_on_without(way):
    leftover(way, peer="02:4d")
    toll = Toll()
    with detour.around(OBJECT.parent, way.index, RATE, toll):
        way.send(5)
    wait_until(way.all_arrived, "what went straight on")
    assert f"sn-h{way.index} is not ours" in toll.why[0]
    assert holding.sweep() == []
    assert f"sn-h{way.index}@sn-b{way.index}" in devices()


def test_a_leftover_of_ours_is_swept_away_and_one_that_is_worked_with_is_not(way):
    before = devices()
    leftover(way)
    with holding.alone(way.index):
        assert holding.sweep() == []
    assert holding.sweep() == [f"sn-h{way.index}"]
    assert devices() == before


def test_an_agent_that_starts_takes_away_what_one_left_that_died(way, tmp_path):
    """The holding devices, and the queue that was set aside for a device that is gone since."""
    before = devices()
    leftover(way)
    run("ip", "link", "add", f"{queue_device(4711)}{succession.ASIDE}", "type", "ifb")
    plane.swept(plane.Place(OBJECT, tmp_path, Interface(EXIT_DEVICE, Direction.EGRESS, RATE)))
    assert devices() == before


def test_what_an_exchange_cost_is_logged_with_its_number():
    toll = Toll()
    with capture_logs() as logs:
        plane.tell(toll)
        toll.add(446, "446 packets still stood there")
        toll.add(0, "nothing was led aside: no tcx")
        plane.tell(toll)
    why = "446 packets still stood there; nothing was led aside: no tcx"
    assert logs == [{"event": "queue_exchange_cost", "log_level": "warning", "packets": 446, "why": why}]


def test_one_process_at_a_time_exchanges_a_devices_root(way):
    before = devices()
    with detour.around(OBJECT.parent, way.index, RATE, Toll()):
        way.send(5)
        with pytest.raises(Transient, match="another process"), detour.around(OBJECT.parent, way.index, RATE, Toll()):
            pytest.fail("two exchanges at once")
        assert devices() != before, "the first one goes on"
    wait_until(way.all_arrived, "all that was held")


@pytest.mark.parametrize(("why", "step"), [(Transient, "_pace"), (Invalid, "_spend")])
def test_a_detour_that_cannot_be_made_does_not_stop_the_exchange(way, monkeypatch, why, step):
    before, toll = devices(), Toll()

    def refused(*_):
        raise why("a test refuses it")

    monkeypatch.setattr(detour, step, refused)
    with detour.around(OBJECT.parent, way.index, RATE, toll):
        assert devices() == before
        exchange("bfifo")
        way.send(5)
    wait_until(way.all_arrived, "what went straight on")
    assert toll.why == ["nothing was led aside: a test refuses it"]


def test_an_end_that_fails_is_told_for_the_exchange_is_done(way, monkeypatch):
    before, toll, pace, calls = devices(), Toll(), detour._pace, []

    def once(*given):
        calls.append(given)
        if len(calls) > 1:
            raise Transient("a test refuses it")
        pace(*given)

    monkeypatch.setattr(detour, "_pace", once)
    monkeypatch.setattr(standing, "STALL_S", 0.2)
    with detour.around(OBJECT.parent, way.index, RATE, toll):
        way.send(5)
        exchange("bfifo")
    assert toll.packets == 5
    assert toll.why == [
        "what was held could not be let go: a test refuses it",
        "5 packets that were led aside did not come back",
    ]
    assert devices() == before
    way.sent -= 5
    way.send(1)
    wait_until(way.all_arrived, "one that went straight on")


def test_what_finds_no_room_there_is_lost_and_counted_and_nobody_waits_for_it(way, monkeypatch):
    """In sleeps of ours, not in time: how often it looks for what does not come is how long it waits."""
    sleeps, sleep, toll = [], time.sleep, Toll()
    monkeypatch.setattr(standing.time, "sleep", lambda seconds: (sleeps.append(seconds), sleep(seconds)))
    monkeypatch.setattr(detour, "HELD_BYTES", 1000)
    with detour.around(OBJECT.parent, way.index, RATE, toll):
        way.send(60)
    wait_until(lambda: len(way.look()) + toll.packets >= way.sent, "all that was not lost")
    assert 0 < toll.packets < 60
    assert sorted(way.arrived) == list(range(way.sent - toll.packets)), "the last to come are those that are lost"
    assert sum(sleeps) <= 2 * standing.STALL_S


def test_a_device_that_is_no_ethernet_is_exchanged_as_the_kernel_does(way):
    before, toll = devices(), Toll()
    with detour.around(OBJECT.parent, socket.if_nametoindex("lo"), RATE, toll):
        assert devices() == before, "nothing holds what it could not give back"
    assert (toll.packets, len(toll.why)) == (0, 1)
    assert "link header" in toll.why[0]


@contextmanager
def traffic(way):
    """Until the end, as fast as a thread among others sends."""
    over = threading.Event()

    def go():
        """And takes what arrived: a socket does not hold all that is sent while a slow machine exchanges queues."""
        while not over.is_set():
            way.send(10)
            way.look()
            time.sleep(0.0005)

    sending = threading.Thread(target=go)
    sending.start()
    try:
        yield
    finally:
        over.set()
        sending.join()


def test_exchanges_under_traffic_lose_nothing(way):
    with traffic(way), Plumbing(1) as plumbing:
        for each in range(4):
            with detour.around(OBJECT.parent, way.index, RATE, Toll()):
                wait_out(lambda: plumbing.waiting(way.index))
                exchange(KINDS[each % 2], each + 1)
    wait_until(way.all_arrived, "all that was sent")
    assert sorted(way.arrived) == list(range(way.sent))


LED_ASIDE = """
import sys
from pathlib import Path
from sentinel_bpf.buffer import detour
from sentinel_bpf.buffer.port import Toll
toll = Toll()
with detour.around(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), toll):
    print("held" if not toll.why else toll.why, flush=True)
    sys.stdin.readline()
print("over" if not toll.why else toll.why, flush=True)
"""


@contextmanager
def another_process(way, *rights):
    """That leads this device's packets aside until it is told to end."""
    command = [*rights, sys.executable, "-c", LED_ASIDE, str(OBJECT.parent), str(way.index), str(RATE)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "held\n"
        yield child


def test_a_killed_process_leaves_the_usual_way(way):
    """What comes after it goes straight on; what it held is lost with it, and its devices are swept away."""
    before = devices()
    with another_process(way) as child:
        assert holding.sweep() == [], "nobody takes them from a process that lives"
        child.kill()
        child.wait()
    way.send(5)
    wait_until(way.all_arrived, "packets after the end of whoever led them aside")
    assert holding.sweep() == [f"sn-h{way.index}"]
    assert devices() == before


def test_the_agents_three_rights_are_enough(way):
    only = ("setpriv", "--bounding-set=-all,+bpf,+net_admin,+perfmon", "--inh-caps=-all")
    with another_process(way, *only) as child:
        way.send(20)
        assert way.look() == [0]
        child.stdin.write("go\n")
        child.stdin.flush()
        assert child.stdout.readline() == "over\n"
    wait_until(way.all_arrived, "all that was held")


@pytest.mark.slow
@pytest.mark.parametrize("taken", ["bpf", "net_admin"])
def test_without_one_of_them_the_exchange_is_the_kernels(way, taken):
    kept = ",".join(f"+{each}" for each in ("bpf", "net_admin", "perfmon") if each != taken)
    only = ["setpriv", f"--bounding-set=-all,{kept}", "--inh-caps=-all"]
    command = [*only, sys.executable, "-c", LED_ASIDE, str(OBJECT.parent), str(way.index), str(RATE)]
    told = subprocess.run(command, check=True, input="go\n", capture_output=True, text=True)
    assert "nothing was led aside" in told.stdout
