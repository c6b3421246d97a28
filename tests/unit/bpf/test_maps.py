"""Records from whatever a caller has at hand; no kernel needed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel_bpf import maps

KEY = np.dtype([("address", ">u4"), ("port", ">u2"), ("_pad", "u2")])


@pytest.mark.parametrize(
    "value",
    [
        pytest.param((0x0A000001, 80), id="a tuple without the padding"),
        pytest.param({"address": 0x0A000001, "port": 80}, id="names"),
        pytest.param(b"\x0a\x00\x00\x01\x00\x50\x00\x00", id="bytes"),
        pytest.param(np.array((0x0A000001, 80, 0), KEY), id="a record"),
    ],
)
def test_every_way_to_write_a_key_gives_the_same_bytes(value):
    assert maps.record(KEY, value).tobytes() == b"\x0a\x00\x00\x01\x00\x50\x00\x00"


def test_what_is_not_named_is_zero():
    assert maps.record(KEY, None, {"port": 1}).tobytes() == b"\x00\x00\x00\x00\x00\x01\x00\x00"


def test_a_tuple_of_another_length_is_a_mistake():
    with pytest.raises(ValueError, match="zip"):
        maps.record(KEY, (1, 2, 3))


@pytest.mark.parametrize("value", [-1, 1 << 32])
def test_a_number_that_does_not_fit_is_not_cut(value):
    with pytest.raises(OverflowError):
        maps.record(np.dtype("u4"), value)


@given(st.integers(0, 2**32 - 1), st.integers(0, 2**16 - 1))
def test_a_record_tells_what_it_was_told(address, port):
    made = maps.record(KEY, (address, port))
    assert (made["address"], made["port"]) == (address, port)


def test_a_snapshot_shares_nothing_with_its_source():
    source = np.zeros(4, KEY)
    taken = maps.snapshot(source)
    source["port"] = 9
    assert taken["port"].tolist() == [0, 0, 0, 0]
