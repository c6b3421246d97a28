"""Each setting that keeps XDP out of the driver has its sentence, and the settings are read as they are."""

import fcntl
import struct

import pytest

from sentinel_bpf import preflight
from sentinel_bpf.object import Program
from sentinel_bpf.preflight import ONE_PAGE_MTU, Settings

WHOLE, PIECES = Program("sn_x", 3), Program("sn_x", 3, fragments=True)
JUMBO = ONE_PAGE_MTU + 1
NOTHING: list[str] = []


@pytest.mark.parametrize(
    ("program", "found", "told"),
    [
        pytest.param(WHOLE, Settings("e0", 1500, False), NOTHING, id="as usual"),
        pytest.param(WHOLE, Settings("e0", ONE_PAGE_MTU, False), NOTHING, id="the largest frame of one page"),
        pytest.param(WHOLE, Settings("e0", JUMBO, False), ["takes frames of one page"], id="MTU above a page"),
        pytest.param(PIECES, Settings("e0", JUMBO, False), ["some drivers"], id="fragments where the driver has them"),
        pytest.param(PIECES, Settings("e0", 1500, True), ["ethtool -K e0 lro off"], id="LRO"),
        pytest.param(WHOLE, Settings("e0", JUMBO, True), ["one page", "LRO"], id="one sentence each"),
    ],
)
def test_each_obstacle_has_a_sentence_that_says_what_to_do(program, found, told):
    sentences = preflight.sentences(program, found)
    assert len(sentences) == len(told)
    for sentence, words in zip(sentences, told, strict=True):
        assert words in sentence
        assert sentence.startswith("e0 ")
        assert sentence.endswith(".")


def test_settings_are_read_as_they_are():
    assert preflight.settings("lo") == Settings("lo", 65_536, merges=False)


def test_the_flag_of_lro_is_the_one_that_is_asked_for(monkeypatch):
    """No device here can merge, so the answer of one that does is put where the kernel would put it."""
    real = fcntl.ioctl

    def answer(where, request, argument):
        if request != 0x8946:
            return real(where, request, argument)
        (pointer,) = struct.unpack_from("@P", argument, 16)
        found = preflight.ctypes.cast(pointer, preflight.ctypes.POINTER(preflight.ctypes.c_uint32))
        assert found[0] == 0x25
        found[1] = 1 << 15
        return argument

    monkeypatch.setattr(fcntl, "ioctl", answer)
    assert preflight.settings("lo").merges
