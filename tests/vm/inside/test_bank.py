"""The Python bank on this kernel: load, count, map, attach, replace, detach; what is missing is said in a sentence."""

import subprocess
from pathlib import Path

import pytest

from sentinel_bpf import attach, maps, testrun
from sentinel_bpf import object as bpf_object

BUILD = Path(__file__).parents[3] / "bpf" / "build"
PINS = Path("/run/sentinel/bpf/test")
FRAME = bytes(64)
XDP_DROP = 1


@pytest.fixture
def bank():
    options = bpf_object.Options(rodata={"verdict": XDP_DROP}, pins=PINS)
    with bpf_object.load(BUILD / "test" / "bank.bpf.o", options) as loaded:
        yield loaded
    for pin in PINS.iterdir():
        pin.unlink()


@pytest.fixture
def device():
    subprocess.run(["ip", "link", "add", "sn-a", "type", "veth", "peer", "name", "sn-b"], check=True)
    yield "sn-a"
    subprocess.run(["ip", "link", "del", "sn-a"], check=True)


def test_a_frame_is_tried_and_its_counters_are_seen_in_mapped_memory(bank):
    ran = testrun.run(bank.program("count"), FRAME, repeat=3)
    assert (ran.action, ran.data) == (XDP_DROP, FRAME)
    assert bank.map("cells").view()["packets"].sum() == 3


def test_tables_are_written_and_dumped(bank):
    table = bank.map("table")
    for number in range(100):
        table.put((number, 1), packets=number)
    assert sorted(table.dump()[1]["packets"].tolist()) == list(range(100))
    bank.map("percpu_words").put(1, 7)
    assert bank.map("percpu_words").total(1) == 7 * maps.cpus()


def test_xdp_is_attached_replaced_and_taken_off(bank, device):
    program, pin = bank.program("count"), PINS / "link"
    assert attach.attach(program, device, attach.Hook.XDP, pin).mode is attach.Mode.NATIVE
    assert attach.attach(program, device, attach.Hook.XDP, pin).change is attach.Change.UPDATED
    assert attach.occupant(device).name == "count"
    assert attach.detach(pin)
    assert attach.occupant(device) is None


def test_tcx_or_what_stands_in_for_it_works_and_is_said(bank, device, promised):
    program, pin = bank.program("tag"), PINS / "link"
    first = attach.attach(program, device, attach.Hook.TCX_EGRESS, pin)
    mode = attach.Mode.TC if "tcx" in promised else attach.Mode.CLS_BPF
    assert (first.mode, first.change) == (mode, attach.Change.CREATED)
    assert attach.attach(program, device, attach.Hook.TCX_EGRESS, pin).change is attach.Change.UPDATED
    assert attach.detach(pin)
    shown = subprocess.run(["tc", "qdisc", "show", "dev", device], check=True, capture_output=True, text=True).stdout
    assert "clsact" not in shown


def test_a_refusal_keeps_the_verifiers_words():
    with pytest.raises(bpf_object.LoadRefused) as refused:
        bpf_object.load(BUILD / "test" / "refused.bpf.o")
    assert "invalid access to packet" in refused.value.log
