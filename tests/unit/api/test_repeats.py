"""Repeats of a line are left out where it is made, and counted; news never is."""

from __future__ import annotations

import pytest
import structlog

from sentinel_api.repeats import KNOWN, TOLD, WINDOW_S, Repeats


class Clock:
    s = 0.0

    def __call__(self) -> float:
        return self.s


def told(repeats: Repeats, level: str = "warning", **line) -> dict | None:
    try:
        return dict(repeats(None, level, line))
    except structlog.DropEvent:
        return None


def test_the_same_line_is_told_three_times_a_window_and_the_rest_is_counted():
    clock = Clock()
    repeats = Repeats(clock)
    said = [told(repeats, event="tick_failed", error="no map", failed=n) for n in range(100)]
    assert [each is not None for each in said] == [True] * TOLD + [False] * (100 - TOLD)
    clock.s = WINDOW_S
    assert told(repeats, event="tick_failed", error="no map", failed=100)["repeats"] == 100 - TOLD
    assert told(repeats, event="tick_failed", error="no map", failed=101) is not None
    assert "repeats" not in told(repeats, event="tick_failed", error="no map", failed=102)


@pytest.mark.parametrize("other", [{"error": "no device"}, {"event": "prediction_failed"}, {"level": "error"}], ids=str)
def test_another_word_is_another_line(other):
    repeats = Repeats(Clock())
    line = {"event": "tick_failed", "error": "no map"}
    for _ in range(TOLD + 1):
        told(repeats, **line)
    assert told(repeats, **line | other) is not None


def test_memory_is_bounded_and_nothing_new_is_lost():
    repeats = Repeats(Clock())
    assert all(told(repeats, event="seen", name=f"n{n}") is not None for n in range(5 * KNOWN))
    assert len(repeats._seen) <= KNOWN
