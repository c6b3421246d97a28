"""Programs on interfaces: created, replaced under traffic, found again, and never over a stranger."""

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sentinel_api.errors import Invalid, Unsupported
from sentinel_bpf import attach, pins, preflight
from sentinel_bpf.attach import Change, Hook, Mode

XDP_DROP = 1
SWAPS = 40
PATIENCE_S = 60.0  # ends what hangs, and proves nothing
IN_FLIGHT = 64  # the cable holds 256; beyond that the sender, not the program, would lose frames
FRAME = b"\xff" * 12 + b"\x88\xb5" + bytes(50)


class Sender:
    """Puts frames on one end of the cable, never more under way than the cable holds."""

    def __init__(self, interface: str) -> None:
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        self.socket.bind((interface, 0))

    def send(self, count: int) -> None:
        for _ in range(count):
            self.socket.send(FRAME)


@pytest.fixture
def sender(veth) -> Iterator[Sender]:
    made = Sender(veth[0])
    yield made
    made.socket.close()


@pytest.fixture
def counting(load):
    """bank.bpf.o, which counts and drops, so that nothing comes back from the stack."""
    return load("test/bank", rodata={"verdict": XDP_DROP})


def counted(bench) -> int:
    return int(bench.summed("cells", 5)["packets"])


def test_an_attached_program_runs_until_it_is_detached(counting, veth, sender, bpffs):
    pin = pins.link_path(bpffs, "xdp", veth[1])
    put = attach.attach(counting.object.program("count"), veth[1], Hook.XDP, pin)
    assert (put.mode, put.change) == (Mode.NATIVE, Change.CREATED)
    sender.send(10)
    assert arrived(counting, 10) == 10
    assert attach.detach(pin)
    sender.send(10)
    assert counted(counting) == 10
    assert attach.occupant(veth[1]) is None
    assert not attach.detach(pin)


def test_the_program_stays_when_its_loader_is_gone_and_is_found_again(load, veth, sender, bpffs):
    options = {"rodata": {"verdict": XDP_DROP}, "pins": bpffs / "maps"}
    pin = bpffs / "link"
    first = load("test/bank", **options)
    attach.attach(first.object.program("count"), veth[1], Hook.XDP, pin)
    first.object.close()
    sender.send(5)
    second = load("test/bank", **options)
    assert arrived(second, 5) == 5
    assert attach.attach(second.object.program("count"), veth[1], Hook.XDP, pin).change is Change.UPDATED
    sender.send(5)
    assert arrived(second, 10) == 10


def test_no_frame_is_lost_while_the_program_is_replaced(load, veth, sender, bpffs):
    """Two generations of the program share the maps; while frames flow they take turns on the link."""
    options = {"rodata": {"verdict": XDP_DROP}, "pins": bpffs / "maps"}
    generations = [load("test/bank", **options) for _ in range(2)]
    pin, changes, sent = bpffs / "link", [], 0
    attach.attach(generations[0].object.program("count"), veth[1], Hook.XDP, pin)

    def swap() -> None:
        """Until there were many of both, whichever thread is starved."""
        while len(changes) < SWAPS or (sent <= SWAPS * IN_FLIGHT and not over.is_set()):
            program = generations[(len(changes) + 1) % 2].object.program("count")
            changes.append(attach.attach(program, veth[1], Hook.XDP, pin).change)

    over, swapper = threading.Event(), threading.Thread(target=swap)
    swapper.start()
    try:
        while swapper.is_alive():
            sender.send(IN_FLIGHT)
            sent += IN_FLIGHT
            assert arrived(generations[0], sent) == sent
    finally:
        over.set()
        swapper.join()
    assert set(changes) == {Change.UPDATED}
    assert len(changes) >= SWAPS
    assert sent > SWAPS * IN_FLIGHT


def arrived(bench, expected: int) -> int:
    """The count, once all frames under way have been seen or have had every chance to be."""
    deadline = time.monotonic() + PATIENCE_S
    while counted(bench) < expected and time.monotonic() < deadline:
        time.sleep(0)
    return counted(bench)


def test_a_foreign_link_is_named_and_left_alone(counting, load, veth, sender, bpffs):
    stranger = load("test/other").object.program("stranger")
    attach.attach(stranger, veth[1], Hook.XDP, bpffs / "theirs")
    with pytest.raises(
        Unsupported, match=r"sn1 already has XDP program stranger \(id \d+, native\), which is not ours"
    ):
        attach.attach(counting.object.program("count"), veth[1], Hook.XDP, bpffs / "ours")
    assert attach.occupant(veth[1]).program_id == attach.ours(bpffs / "theirs")
    assert not (bpffs / "ours").exists()


@pytest.mark.parametrize("mode", ["xdpdrv", "xdpgeneric"])
def test_a_program_put_there_by_netlink_is_named_and_left_alone(counting, built, veth, bpffs, mode):
    other = str(built / "test" / "other.bpf.o")
    subprocess.run(["ip", "link", "set", veth[1], mode, "object", other, "section", "xdp"], check=True)
    with pytest.raises(Unsupported, match="already has XDP program stranger"):
        attach.attach(counting.object.program("count"), veth[1], Hook.XDP, bpffs / "ours", allow_generic=True)
    assert attach.occupant(veth[1]).name == "stranger"


@pytest.mark.parametrize("command", ["xdp off", "-force xdp object {other} section xdp"])
def test_netlink_can_neither_remove_nor_replace_ours(counting, built, veth, sender, bpffs, command):
    attach.attach(counting.object.program("count"), veth[1], Hook.XDP, bpffs / "ours")
    words = command.format(other=built / "test" / "other.bpf.o").split()
    force, words = (["-force"], words[1:]) if words[0] == "-force" else ([], words)
    refused = subprocess.run(["ip", *force, "link", "set", veth[1], *words], capture_output=True, check=False)
    assert refused.returncode != 0
    sender.send(3)
    assert arrived(counting, 3) == 3


def test_generic_mode_is_taken_only_when_allowed(counting, namespace, bpffs):
    subprocess.run(["ip", "link", "add", "sn2", "type", "ifb"], check=True)  # a driver without XDP
    program = counting.object.program("count")
    with pytest.raises(Unsupported, match=r"sn2 has no XDP in its driver.*allow the slower generic mode"):
        attach.attach(program, "sn2", Hook.XDP, bpffs / "link")
    assert attach.attach(program, "sn2", Hook.XDP, bpffs / "link", allow_generic=True).mode is Mode.GENERIC


def jumbo(veth):
    for end in veth:
        subprocess.run(["ip", "link", "set", end, "mtu", "9000"], check=True)


def test_jumbo_frames_need_a_program_that_takes_fragments(counting, load_ingress, veth, bpffs):
    jumbo(veth)
    with pytest.raises(
        Unsupported,
        match=r"sn1 has an MTU of 9000, and count takes frames of one page: lower the MTU to 3506, or build the "
        r"program as xdp\.frags\. Or allow the slower generic mode",
    ):
        attach.attach(counting.object.program("count"), veth[1], Hook.XDP, bpffs / "link")
    ingress = load_ingress().object.program("sn_ingress")
    put = attach.attach(ingress, veth[1], Hook.XDP, bpffs / "link")
    assert put.mode is Mode.NATIVE
    assert put.notes == (
        "sn1 has an MTU of 9000, and some drivers give XDP frames of one page only: lower the MTU to 3506 where this "
        "one refuses.",
    )


def test_a_program_without_fragments_takes_jumbo_frames_in_generic_mode_and_says_why(counting, veth, sender, bpffs):
    jumbo(veth)
    put = attach.attach(counting.object.program("count"), veth[1], Hook.XDP, bpffs / "link", allow_generic=True)
    assert put.mode is Mode.GENERIC
    assert "count takes frames of one page" in put.notes[0]
    sender.socket.send(FRAME + bytes(8000))
    assert arrived(counting, 1) == 1


def test_what_the_driver_takes_is_the_judge_of_the_largest_mtu(counting, veth, bpffs):
    program = counting.object.program("count")
    for end in veth:
        subprocess.run(["ip", "link", "set", end, "mtu", str(preflight.ONE_PAGE_MTU)], check=True)
    put = attach.attach(program, veth[1], Hook.XDP, bpffs / "link")
    assert (put.mode, put.notes) == (Mode.NATIVE, ())


def test_a_devices_flags_come_from_the_kernel(veth):
    """The one that veth has (it takes VLAN tags off) lies in the word in which LRO would."""
    vlan_tags = 1 << 8
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        assert preflight._flags(asked, veth[0].encode().ljust(16, b"\0")) & vlan_tags


def test_a_pin_whose_interface_is_gone_is_replaced(counting, veth, bpffs):
    program, pin = counting.object.program("count"), bpffs / "link"
    attach.attach(program, veth[1], Hook.XDP, pin)
    subprocess.run(["ip", "link", "delete", veth[0]], check=True)
    subprocess.run(["ip", "link", "add", "sn0", "type", "veth", "peer", "name", "sn1"], check=True)
    assert attach.attach(program, "sn1", Hook.XDP, pin).change is Change.CREATED


def test_a_pin_whose_interface_is_gone_is_detached_without_complaint(counting, veth, bpffs):
    attach.attach(counting.object.program("count"), veth[1], Hook.XDP, bpffs / "link")
    subprocess.run(["ip", "link", "delete", veth[0]], check=True)
    assert attach.detach(bpffs / "link")


def test_a_pin_of_another_interface_or_hook_is_refused(counting, veth, bpffs):
    program, pin = counting.object.program("count"), bpffs / "link"
    attach.attach(program, veth[1], Hook.XDP, pin)
    with pytest.raises(Invalid, match="belongs to another interface"):
        attach.attach(program, veth[0], Hook.XDP, pin)
    with pytest.raises(Invalid, match="holds another kind of link"):
        attach.attach(counting.object.program("tag"), veth[1], Hook.TCX_INGRESS, pin)


def test_an_unknown_interface_is_refused_in_a_sentence(counting, namespace, bpffs):
    with pytest.raises(Invalid, match="no interface nix0"):
        attach.attach(counting.object.program("count"), "nix0", Hook.XDP, bpffs / "link")


def test_names_with_dots_can_be_pinned(counting, veth, bpffs):
    subprocess.run(["ip", "link", "set", veth[0], "down", "name", "sn0.7"], check=True)
    pin = pins.link_path(bpffs, "xdp", "sn0.7")
    assert attach.attach(counting.object.program("tag"), "sn0.7", Hook.TCX_INGRESS, pin).mode is Mode.TC
    assert attach.detach(pin)


@pytest.mark.parametrize(("hook", "end"), [(Hook.TCX_EGRESS, 0), (Hook.TCX_INGRESS, 1)])
def test_tcx_programs_see_both_directions_and_are_replaced_in_place(counting, veth, sender, bpffs, hook, end):
    program, pin = counting.object.program("tag"), bpffs / "link"
    assert attach.attach(program, veth[end], hook, pin).change is Change.CREATED
    sender.send(3)
    assert attach.attach(program, veth[end], hook, pin).change is Change.UPDATED
    sender.send(4)
    deadline = time.monotonic() + PATIENCE_S
    while counting.get("words", 0) < 7 and time.monotonic() < deadline:
        time.sleep(0.001)
    assert counting.get("words", 0) == 7
    assert attach.detach(pin)
    sender.send(5)
    assert counting.get("words", 0) == 7


WITHOUT_RIGHTS = """
import json, sys
from pathlib import Path
from sentinel_api.errors import Unsupported
from sentinel_bpf import object
try:
    object.load(Path(sys.argv[1]))
except Unsupported as refused:
    print(json.dumps(str(refused)))
"""


def test_without_rights_the_refusal_names_them(built):
    told = run_with("", WITHOUT_RIGHTS, built / "test" / "bank.bpf.o")
    assert told == "bank.bpf.o may not be loaded; CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON are needed."


def run_with(rights: str, program: str, *arguments: Path | str):
    bounding = ",".join(filter(None, ["-all", rights]))
    command = ["setpriv", f"--bounding-set={bounding}", "--inh-caps=-all", sys.executable, "-c", program]
    done = subprocess.run([*command, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
