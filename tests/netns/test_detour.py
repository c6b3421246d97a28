"""While a device's root qdisc is exchanged what leaves is led aside: nothing is lost, and its order is kept."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest

from sentinel_bpf.buffer import detour
from sentinel_bpf.buffer.plumbing import Plumbing
from sentinel_bpf.buffer.standing import wait_while
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
    with detour.around(OBJECT.parent, way.index, RATE):
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
        with detour.around(OBJECT.parent, way.index, RATE):
            way.send(20)
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        broken()
    wait_until(way.all_arrived, "all that was held")
    assert devices() == before


def test_the_holding_device_of_who_died_in_the_middle_is_in_nobodys_way(way):
    run("ip", "link", "add", f"sn-h{way.index}", "type", "veth", "peer", "name", f"sn-b{way.index}")
    with detour.around(OBJECT.parent, way.index, RATE):
        way.send(5)
    wait_until(way.all_arrived, "all that was held")


def test_a_device_that_is_no_ethernet_is_exchanged_as_the_kernel_does(way):
    before = devices()
    with detour.around(OBJECT.parent, socket.if_nametoindex("lo"), RATE):
        assert devices() == before, "nothing holds what it could not give back"


@contextmanager
def traffic(way):
    """Until the end, as fast as a thread among others sends."""
    over = threading.Event()

    def go():
        while not over.is_set():
            way.send(10)
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
            with detour.around(OBJECT.parent, way.index, RATE):
                wait_while(lambda: plumbing.waits(way.index))
                exchange(KINDS[each % 2], each + 1)
    wait_until(way.all_arrived, "all that was sent")
    assert sorted(way.arrived) == list(range(way.sent))


def test_a_killed_process_leaves_the_usual_way(way):
    """What comes after it goes straight on; what it held is lost with it."""
    script = (
        "import sys, time\nfrom pathlib import Path\nfrom sentinel_bpf.buffer import detour\n"
        f"with detour.around(Path({str(OBJECT.parent)!r}), {way.index}, {RATE}):\n"
        "    print('held', flush=True)\n    time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "held\n"
        child.kill()
        child.wait()
    way.send(5)
    wait_until(way.all_arrived, "packets after the end of whoever led them aside")
