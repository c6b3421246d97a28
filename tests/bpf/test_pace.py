"""A queue of another version is let run empty by words that each version has in the same place."""

import numpy as np
import pytest

from sentinel_bpf.buffer import discipline, pace

VERSION = discipline.VERSION + 1
KIND = f"{discipline.OPERATIONS}{VERSION}"
CLASSES = 16
SPOT = {"netns": 7, "ifindex": 3, "parent": 0xFFFFFFFF}
SLOT = 1
RATE, CEILING = 1_000_000, 65_536


@pytest.fixture
def other(load, bpffs):
    """Its maps as it pinned them, with a paced queue in each of two slots."""
    bench = load("test/paces", pins=pace.folder(bpffs, KIND))
    bench.put("sn_slots", SPOT, SLOT)
    for name, word in (("sn_drains", RATE), ("sn_shares", CEILING)):
        words = raw(bench, name)
        words[...] = np.arange(words.size).reshape(words.shape) + 1
        words[:, pace.RATE_WORD if name == "sn_drains" else pace.CEILING_WORD] = word
    return bench


def raw(bench, name):
    view = bench.view(name, writable=True)
    return np.ndarray((len(view), view.dtype.itemsize // 8), "<u8", view.data)


def state(bench):
    return {name: raw(bench, name).copy() for name in ("sn_drains", "sn_shares")}


def test_rate_and_ceilings_of_its_slot_are_lifted_and_no_other_word(other, bpffs):
    wanted = state(other)
    wanted["sn_drains"][SLOT, 0] = 0
    wanted["sn_shares"][SLOT * CLASSES :, 2] = 0
    with pace.lifted(bpffs, KIND, SPOT) as pace_s:
        assert pace_s == 1.0, "the largest packet at the slowest class is one second"
    for name, words in state(other).items():
        assert (words == wanted[name]).all()


def test_what_fails_meanwhile_finds_it_paced_as_before(other, bpffs):
    before = state(other)

    def broken():
        with pace.lifted(bpffs, KIND, SPOT):
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        broken()
    for name, words in state(other).items():
        assert (words == before[name]).all()


@pytest.mark.parametrize("spot", [SPOT | {"ifindex": 4}, SPOT | {"netns": 8}])
def test_a_queue_elsewhere_keeps_its_pace(other, bpffs, spot):
    before = state(other)
    with pace.lifted(bpffs, KIND, spot) as pace_s:
        assert pace_s == 0
    for name, words in state(other).items():
        assert (words == before[name]).all()


def test_a_version_that_pinned_nothing_is_let_go_as_it_is(bpffs):
    with pace.lifted(bpffs, KIND, SPOT) as pace_s:
        assert pace_s == 0


def test_no_pace_is_waited_for_longer_than_the_slowest_there_is(other, bpffs):
    raw(other, "sn_shares")[:, 2] = 1
    with pace.lifted(bpffs, KIND, SPOT) as pace_s:
        assert pace_s == pace.LARGEST_PACKET_BYTES / pace.SLOWEST_BYTES_PER_S
