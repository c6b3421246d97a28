"""One frame in, one verdict and the frame out."""

import struct

import pytest

from sentinel_api.errors import Invalid
from sentinel_bpf import attach, testrun

XDP_ABORTED, XDP_DROP, XDP_PASS = 0, 1, 2
TC_ACT_UNSPEC = -1
META_MAGIC = 0x534E4D31
FRAME = bytes(range(64))


def test_the_frame_of_a_passive_program_leaves_as_it_came(bank):
    assert bank.run("count", FRAME) == (XDP_PASS, FRAME)


def test_a_constant_set_before_load_decides_the_verdict(load):
    assert load("test/bank", rodata={"verdict": XDP_DROP}).run("count", FRAME) == (XDP_DROP, FRAME)


def test_every_repeat_is_counted(bank):
    bank.run("count", FRAME, repeat=7)
    assert bank.summed("cells", 5)["packets"] == 7
    assert bank.summed("cells", 5)["bytes"] == 7 * len(FRAME)


def test_metadata_that_a_program_leaves_is_told_apart_from_the_frame(bank):
    ran = testrun.run(bank.object.program("meta"), FRAME)
    assert ran.action == XDP_PASS
    assert ran.data == bytes([FRAME[0] ^ 0xFF]) + FRAME[1:]
    assert ran.meta == struct.pack("=II", META_MAGIC, 7)


@pytest.mark.parametrize("class_id", [0, 1, 15])
def test_metadata_given_is_seen_by_the_program(bank, class_id):
    assert bank.run("meta", FRAME, meta=struct.pack("=II", META_MAGIC, class_id)) == (class_id, FRAME)


def test_the_program_sees_the_interface_it_is_told(bank, veth):
    index = attach.interface_index(veth[1])
    bank.run("count", FRAME, interface_index=index)
    assert bank.object.map("percpu").total(0)["last"] == index


def test_a_tc_program_reads_and_writes_the_context(bank):
    ran = testrun.run_tc(bank.object.program("tag"), FRAME, mark=41)
    assert (ran.action, ran.context["priority"]) == (TC_ACT_UNSPEC, 42)
    assert ran.data == FRAME


def test_live_frames_meet_the_program_of_the_interface(load, veth):
    bank = load("test/bank", rodata={"verdict": XDP_DROP})
    testrun.send(bank.object.program("count"), FRAME, 1000, interface_index=attach.interface_index(veth[1]))
    assert bank.summed("cells", 5)["packets"] == 1000


@pytest.mark.parametrize(
    ("frame", "options"),
    [
        pytest.param(bytes(13), {}, id="a frame shorter than its Ethernet header"),
        pytest.param(FRAME, {"meta": b"123"}, id="metadata that is no multiple of four"),
        pytest.param(FRAME, {"interface_index": 1 << 30}, id="an interface that does not exist"),
    ],
)
def test_what_cannot_be_tried_is_refused_in_a_sentence(bank, frame, options):
    with pytest.raises(Invalid, match="cannot be tried on this frame"):
        bank.run("count", frame, **options)
