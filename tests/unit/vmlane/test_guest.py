"""How a guest ended is read from what it wrote, however the pieces arrive."""

import itertools

from hypothesis import given
from hypothesis import strategies as st
from vmlane import guest

MARKER = b"\x1emark\n"
binary = st.binary(max_size=40).filter(lambda data: b"\x1e" not in data)


@given(binary, binary, st.lists(st.integers(0, 90), max_size=8))
def test_output_and_result_are_parted_wherever_the_pieces_break(output, result, cuts):
    stream, heard = output + MARKER + result, []
    parted = guest.Output(MARKER, heard.append)
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    for start, end in itertools.pairwise(edges):
        parted.take(stream[start:end])
    assert parted.result() == result.decode(errors="replace")
    assert b"".join(heard) == output


def test_output_without_a_marker_is_all_passed_on():
    heard: list[bytes] = []
    parted = guest.Output(MARKER, heard.append)
    parted.take(b"cut off \x1ema")
    assert (parted.result(), b"".join(heard)) == ("", b"cut off \x1ema")


def test_a_console_is_shown_without_terminal_codes_and_at_its_end():
    console = "\x1bc\x1b[?7l\x1b[2J\x1b[0mSeaBIOS\r\n\n" + "".join(f"line {i}\n" for i in range(100))
    assert guest.console_tail(console).splitlines() == [f"line {i}" for i in range(100 - guest.TAIL_LINES, 100)]
