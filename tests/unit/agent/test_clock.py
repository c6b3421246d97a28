"""The grid of instants: late ticks are dropped and counted, the grid itself never drifts."""

import itertools
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel_agent.clock import Beat, Metronome, next_beat

PERIOD_NS = 100_000_000


@pytest.mark.parametrize(
    ("late_ns", "beat"),
    [
        pytest.param(0, Beat(PERIOD_NS, 0), id="a tick in time misses nothing"),
        pytest.param(PERIOD_NS - 1, Beat(PERIOD_NS, 0), id="a tick that used its whole period misses nothing"),
        pytest.param(PERIOD_NS, Beat(2 * PERIOD_NS, 1), id="one period late drops one"),
        pytest.param(50 * PERIOD_NS + 1, Beat(51 * PERIOD_NS, 50), id="after a stop of 5 s the grid goes on"),
        pytest.param(-7, Beat(PERIOD_NS, 0), id="called early, it waits for the next instant"),
    ],
)
def test_late_ticks_are_dropped_and_counted(late_ns, beat):
    assert next_beat(0, late_ns, PERIOD_NS) == beat


@given(start=st.integers(0, 2**62), late=st.integers(0, 10**12))
def test_the_grid_never_drifts_and_never_lies_in_the_past(start, late):
    beat = next_beat(start, start + late, PERIOD_NS)
    assert (beat.deadline_ns - start) % PERIOD_NS == 0
    assert start + late < beat.deadline_ns <= start + late + PERIOD_NS


def test_stop_ends_the_loop_from_another_thread():
    ticks: list[Beat] = []
    enough = threading.Event()

    def tick(beat: Beat) -> None:
        ticks.append(beat)
        if len(ticks) == 3:
            enough.set()

    metronome = Metronome(1_000_000, tick)
    thread = threading.Thread(target=metronome.run)
    thread.start()
    assert enough.wait(60)
    metronome.stop()
    thread.join(60)
    assert not thread.is_alive()
    assert all(later.deadline_ns > earlier.deadline_ns for earlier, later in itertools.pairwise(ticks))
