"""What a log grew by, and what that makes in an hour."""

import pytest

from sentinel_lab.bench.logs import _row
from sentinel_lab.bench.logs_edges import Written


def test_only_what_came_since_the_last_time_is_told(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(b"one\n")
    written = Written(log)
    assert written.since() == b"one\n"
    with log.open("ab") as more:
        more.write(b"two\n")
    assert (written.since(), written.since()) == (b"two\n", b"")


@pytest.mark.parametrize(("seconds", "an_hour"), [(60.0, {"bytesAnHour": 1260.0}), (0.0, {})])
def test_a_phase_is_told_by_the_hour_and_a_start_is_not(seconds, an_hour):
    row = _row("agent", "Info", ("rest", seconds, {"datagrams": 7}), b'{"event": "one"}\ntwo\n')
    counted = {"bytes": 21, "lines": 2, "events": {"one": 1, "two": 1}, "datagrams": 7}
    assert row == {"of": "agent", "level": "Info", "phase": "rest", "seconds": seconds, **counted, **an_hour}
