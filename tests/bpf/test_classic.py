"""Where the kernel has no tcx: a filter of ours among strangers' filters, replaced, found again, and handed back."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from pyroute2 import IPRoute

from sentinel_api.errors import Unsupported
from sentinel_bpf import attach
from sentinel_bpf.attach import Change, Hook, Mode
from sentinel_bpf.buffer.plumbing import FILTER_NAME, Plumbing, queue_device
from sentinel_bpf.filters import FIRST_PRIORITY, Filters, Side
from support.old_kernel import without_tcx

FRAME = b"\xff" * 12 + b"\x88\xb5" + bytes(50)
SWAPS, IN_FLIGHT = 30, 64
NOT_OF_THIS_FRAME = "protocol ip u32 match ip protocol 1 0xff classid 1:1"


@pytest.fixture
def device(veth, monkeypatch):
    """Frames that leave it are seen by the program under test."""
    without_tcx(monkeypatch)
    return veth[0]


@pytest.fixture
def pin(bpffs) -> Path:
    return bpffs / "link_tcx_egress_sn0"


@pytest.fixture
def leave(device):
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    made.bind((device, 0))

    def send(count: int) -> None:
        for _ in range(count):
            made.send(FRAME)

    yield send
    made.close()


@pytest.fixture
def bank(load):
    return load("test/bank")


def tc(*words: str) -> str:
    return subprocess.run(["tc", *" ".join(words).split()], check=True, capture_output=True, text=True).stdout


def shown(device: str) -> str:
    return tc("qdisc show dev", device) + tc("filter show dev", device, "egress")


def seen(bench) -> int:
    return int(bench.view("words")[0])


def put(bench, device: str, pin: Path) -> attach.Attached:
    return attach.attach(bench.object.program("tag"), device, Hook.TCX_EGRESS, pin)


def test_a_filter_takes_the_place_of_tcx_and_is_said(bank, device, leave, pin):
    before = shown(device)
    made = put(bank, device, pin)
    assert (made.mode, made.change) == (Mode.CLS_BPF, Change.CREATED)
    leave(3)
    assert seen(bank) == 3
    assert attach.ours(pin) is not None
    assert attach.detach(pin)
    leave(3)
    assert seen(bank) == 3
    assert shown(device) == before
    assert not attach.detach(pin)
    assert attach.ours(pin) is None


def test_it_stands_behind_the_filters_of_others_and_never_in_their_place(bank, load, device, leave, pin):
    """The stranger at our first choice has even our handle: the kernel would let us write over it."""
    stranger = load("test/bank")
    with IPRoute() as route:
        theirs = Filters(route, socket.if_nametoindex(device), Side.EGRESS, "stranger")
        theirs.ensure_clsact()
        theirs.put(stranger.object.program("tag").descriptor, direct_action=True)
        tc(f"filter add dev {device} egress prio {FIRST_PRIORITY + 1}", NOT_OF_THIS_FRAME)
        tc(f"filter add dev {device} egress prio 1", NOT_OF_THIS_FRAME)
        before = shown(device)
        put(bank, device, pin)
        ours = Filters(route, socket.if_nametoindex(device), Side.EGRESS, "tag").ours()
    assert ours is not None
    assert ours.priority == FIRST_PRIORITY + 2
    leave(4)
    assert (seen(stranger), seen(bank)) == (4, 4)
    attach.detach(pin)
    assert shown(device) == before


def test_the_redirect_of_what_comes_in_spares_a_strangers_filter_too(bank, load, device):
    index = socket.if_nametoindex(device)
    stranger, ours = load("test/bank"), bank.object.program("tag").descriptor
    with IPRoute() as route, Plumbing(0x5E17) as plumbing:
        theirs = Filters(route, index, Side.INGRESS, "stranger")
        theirs.ensure_clsact()
        theirs.put(stranger.object.program("tag").descriptor, direct_action=True)
        before = tc("filter show dev", device, "ingress")
        plumbing.redirect(index, ours, plumbing.ensure_ifb(queue_device(index)))
        assert Filters(route, index, Side.INGRESS, FILTER_NAME).ours().priority == FIRST_PRIORITY + 1
        plumbing.stop_redirect(index, plumbing.index(queue_device(index)))
        assert tc("filter show dev", device, "ingress") == before


def test_no_frame_goes_past_it_while_it_is_replaced(load, device, leave, pin, bpffs):
    generations = [load("test/bank", pins=bpffs / "maps") for _ in range(2)]
    put(generations[0], device, pin)
    changes = []

    def swap() -> None:
        for number in range(1, SWAPS + 1):
            changes.append(put(generations[number % 2], device, pin).change)

    swapper = threading.Thread(target=swap)
    swapper.start()
    sent = 0
    while swapper.is_alive() or not sent:
        leave(IN_FLIGHT)
        sent += IN_FLIGHT
    swapper.join()
    assert changes == [Change.UPDATED] * SWAPS
    assert seen(generations[0]) == sent


LOADER = """
import sys
from pathlib import Path
import pytest
from sentinel_bpf import attach, object
from support.old_kernel import without_tcx
without_tcx(pytest.MonkeyPatch())
path, device, where = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
bank = object.load(path, object.Options(pins=where / "maps"))
print(attach.attach(bank.program("tag"), device, attach.Hook.TCX_EGRESS, where / sys.argv[4]).change.value, flush=True)
sys.stdin.read()
"""


def test_it_outlives_its_loader_and_a_successor_takes_its_place(load, built, device, leave, pin, bpffs):
    tests = str(Path(__file__).parents[1])
    arguments = [built / "test" / "bank.bpf.o", device, bpffs, pin.name]
    loader = subprocess.Popen(
        [sys.executable, "-c", LOADER, *map(str, arguments)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": tests},
    )  # fmt: skip
    with loader:
        assert loader.stdout.readline() == "created\n"
        loader.kill()
    leave(5)
    before = tc("filter show dev", device, "egress").split()
    heir = load("test/bank", pins=bpffs / "maps")
    assert seen(heir) == 5
    assert put(heir, device, pin).change is Change.UPDATED
    after = tc("filter show dev", device, "egress").split()
    assert [before[at + 1] for at, word in enumerate(before) if word == "pref"] == [
        after[at + 1] for at, word in enumerate(after) if word == "pref"
    ], "at the place that it had"
    leave(5)
    assert seen(heir) == 10
    assert attach.detach(pin)


def test_clsact_stays_when_others_have_come_to_use_it(bank, device, pin):
    put(bank, device, pin)
    tc(f"filter add dev {device} ingress prio 5", NOT_OF_THIS_FRAME)
    attach.detach(pin)
    assert "clsact" in shown(device)


def test_what_somebody_else_took_away_is_put_there_again_and_detached_without_complaint(bank, device, leave, pin):
    put(bank, device, pin)
    tc(f"qdisc del dev {device} clsact")
    assert put(bank, device, pin).change is Change.CREATED
    leave(2)
    assert seen(bank) == 2
    tc(f"qdisc del dev {device} clsact")
    assert not attach.detach(pin)
    assert not list(pin.parent.glob("link*"))


def test_a_device_that_came_back_gets_a_filter_of_its_own(bank, device, pin):
    put(bank, device, pin)
    subprocess.run(["ip", "link", "delete", device], check=True)
    subprocess.run(["ip", "link", "add", device, "type", "veth", "peer", "name", "sn1"], check=True)
    assert put(bank, device, pin).change is Change.CREATED
    assert len(list(pin.parent.glob("link*:EGRESS"))) == 1


def test_a_foreign_ingress_qdisc_is_told_and_left_alone(bank, device, pin):
    tc(f"qdisc add dev {device} ingress")
    before = shown(device)
    with pytest.raises(Unsupported, match="sn0 has a foreign ingress qdisc where clsact would be"):
        put(bank, device, pin)
    assert shown(device) == before
    assert not list(pin.parent.glob("link*"))
