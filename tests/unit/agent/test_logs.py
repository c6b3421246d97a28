"""A log that nobody takes holds nobody up."""

import os
from pathlib import Path

import pytest

from sentinel_agent.logs import Lossy


def test_lines_on_a_full_disk_are_counted_and_forgotten():
    with Path("/dev/full").open("wb") as full:
        stream = Lossy(full.fileno())
        assert stream.write("line\n") == 5
        assert stream.lost == 1


def test_a_pipe_that_nobody_reads_does_not_block():
    reading, writing = os.pipe()
    try:
        stream = Lossy(writing)
        for _ in range(100):  # more than a pipe holds
            stream.write("x" * 4000)
        assert stream.lost > 0
        assert len(os.read(reading, 100)) == 100
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.parametrize("length", [1, 10_000])
def test_a_line_arrives_as_far_as_a_pipe_takes_it_at_once(length):
    reading, writing = os.pipe()
    try:
        Lossy(writing).write("y" * length)
        assert len(os.read(reading, 1 << 16)) == min(length, 4096)
    finally:
        os.close(reading)
        os.close(writing)
