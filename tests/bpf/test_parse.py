"""Each shape of frame is understood as the standards say, or refused for the reason that is true of it."""

import pytest

from support import reference_parser
from support.data_plane.agent import XDP_PASS
from support.data_plane.corpus import FOUND, REFUSED
from support.data_plane.parsed import Parser, expected

REASONS = [pytest.param(frame, reason, id=name) for name, (frame, reason) in REFUSED.items()]


@pytest.fixture(scope="module")
def parser(built):
    return Parser(built / "test" / "parsed.bpf.o")


@pytest.mark.parametrize("frame", [pytest.param(frame, id=name) for name, frame in FOUND.items()])
def test_a_packet_of_ours_is_understood_and_passes_as_it_came(plane, parser, frame):
    answer = parser.answer(frame)
    assert answer == expected(frame)
    assert answer.outcome == reference_parser.FOUND
    assert plane.run(frame) == (XDP_PASS, frame)
    assert plane.reasons() == {"NO_ORDER": 1}
    counted = plane.cell(0)
    assert (counted["packets"], counted["bytes"], counted["new_flows"]) == (1, len(frame), 1)
    assert counted["fragments"] == answer.fragment
    assert counted["syns"] == (answer.tcp_flags & 0x12 == 0x02)
    assert counted["closes"] == bool(answer.tcp_flags & 0x05)


@pytest.mark.parametrize(("frame", "reason"), REASONS)
def test_what_is_not_ours_passes_as_it_came_for_a_reason(plane, parser, frame, reason):
    assert parser.answer(frame).reason == expected(frame).reason == reason
    assert plane.run(frame) == (XDP_PASS, frame)
    assert plane.reasons() == {reason: 1}
    assert plane.cell(0)["packets"] == 0
    assert plane.flows() == []


def test_a_frame_cut_at_any_byte_is_read_no_further_than_it_goes(plane, parser):
    sent = 0
    for frame in FOUND.values():
        for size in range(14, min(len(frame), 140)):
            cut = frame[:size]
            assert parser.answer(cut) == expected(cut)
            assert plane.run(cut) == (XDP_PASS, cut)
            sent += 1
    assert plane.reasons().total() == sent > 3000


def test_a_frame_of_many_pages_is_counted_whole(plane):
    frame = FOUND["udp4"] + bytes(9000)
    assert plane.run(frame) == (XDP_PASS, frame)
    assert plane.cell(0)["bytes"] == len(frame)


def test_there_are_at_least_sixty_shapes():
    assert len(FOUND) + len(REFUSED) >= 60
