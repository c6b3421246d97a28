"""The parser against the reference on packets that were damaged by chance: they never disagree, and none is lost."""

import random
from collections import Counter

import pytest

from support.data_plane.agent import XDP_PASS
from support.data_plane.corpus import FOUND, REFUSED
from support.data_plane.parsed import Parser, expected
from support.reference_parser import FOUND as UNDERSTOOD

SEED = 20260729
SHORTEST = 14  # the kernel lets no shorter frame into a test run
CORPUS = [*FOUND.values(), *(frame for frame, _ in REFUSED.values())]
TELLING = (0, 1, 2, 4, 5, 6, 7, 8, 10, 17, 43, 44, 51, 58, 60, 63, 64, 127, 128, 254, 255)


def flip(chance: random.Random, frame: bytearray) -> None:
    frame[chance.randrange(len(frame))] ^= 1 << chance.randrange(8)


def tell(chance: random.Random, frame: bytearray) -> None:
    """A byte in the headers becomes one that means something."""
    frame[chance.randrange(12, min(len(frame), 100))] = chance.choice(TELLING)


def cut(chance: random.Random, frame: bytearray) -> None:
    del frame[chance.randrange(SHORTEST, len(frame) + 1) :]


def grow(chance: random.Random, frame: bytearray) -> None:
    frame += chance.randbytes(chance.randrange(1, 64))


def insert(chance: random.Random, frame: bytearray) -> None:
    at = chance.randrange(12, len(frame) + 1)
    frame[at:at] = chance.randbytes(chance.choice((1, 2, 4, 8, 20)))


def remove(chance: random.Random, frame: bytearray) -> None:
    at = chance.randrange(12, len(frame) + 1)
    if len(frame) - 8 >= SHORTEST:
        del frame[at : at + chance.choice((1, 2, 4, 8))]


def splice(chance: random.Random, frame: bytearray) -> None:
    """One frame's head on another's body."""
    other = chance.choice(CORPUS)
    at = chance.randrange(SHORTEST, len(frame) + 1)
    frame[at:] = other[min(at, len(other)) :]


DAMAGES = (flip, flip, tell, tell, tell, cut, grow, insert, remove, splice)


def damaged(chance: random.Random) -> bytes:
    frame = bytearray(chance.choice(CORPUS)[:400])
    for _ in range(chance.choice((1, 1, 2, 3, 5))):
        chance.choice(DAMAGES)(chance, frame)
    return bytes(frame)


@pytest.fixture(scope="module")
def parser(built):
    return Parser(built / "test" / "parsed.bpf.o")


def disagreements(parser, chance: random.Random, count: int) -> tuple[list[str], Counter[str]]:
    wrong, ways = [], Counter()
    for _ in range(count):
        frame = damaged(chance)
        answer, reference = parser.answer(frame), expected(frame)
        ways[reference.reason or "FOUND"] += 1
        if answer != reference and len(wrong) < 3:
            wrong.append(f"{frame.hex()}: {answer} instead of {reference}")
    return wrong, ways


def test_a_hundred_thousand_damaged_packets_are_read_as_the_reference_reads_them(parser):
    wrong, ways = disagreements(parser, random.Random(SEED), 100_000)
    assert wrong == []
    # The damage must reach every way out but the one that no frame of 14 bytes can take.
    assert set(ways) == {"FOUND", *(reason for _, reason in REFUSED.values())}


@pytest.mark.fuzz
@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", range(9))
def test_nine_hundred_thousand_more_are_read_as_the_reference_reads_them(parser, part):
    wrong, _ = disagreements(parser, random.Random(SEED + 1 + part), 100_000)
    assert wrong == []


def test_no_damaged_packet_is_lost_or_changed_and_each_is_counted_once_for_the_right_reason(plane):
    chance, reasons, packets = random.Random(SEED), Counter(), 0
    for _ in range(20_000):
        frame = damaged(chance)
        reference = expected(frame)
        reasons[reference.reason or "NO_ORDER"] += 1
        packets += reference.outcome == UNDERSTOOD
        assert plane.run(frame) == (XDP_PASS, frame)
    assert plane.reasons() == reasons
    assert plane.cell(0)["packets"] == packets
