"""What is believed of a node: rules that hold for every sequence of witnesses, and the cases of the contract."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel_mesh.membership import (
    CALM_NS,
    HOLD_MAX_NS,
    HOLD_NS,
    LATE_NS,
    PERIOD_NS,
    SILENT_NS,
    Level,
    Probe,
    Standing,
    Witnesses,
    judge,
)

T0 = 10**12
LEVELS = {
    # age of the last state, how long ago the engine gave it up, probe: level
    "all speak for it": (0, None, Probe.GOOD, Level.ALIVE),
    "nobody probes": (0, None, Probe.UNKNOWN, Level.ALIVE),
    "one state is late": (LATE_NS, None, Probe.GOOD, Level.ALIVE),
    "three states are late": (LATE_NS + 1, None, Probe.GOOD, Level.SUSPECTED),
    "its process is gone": (5, 5, Probe.GOOD, Level.SUSPECTED),
    "it was gone, and spoke since": (4, 5, Probe.GOOD, Level.ALIVE),
    "its process is gone just now": (5, 0, Probe.GOOD, Level.SUSPECTED),
    "agent gone, node answers": (SILENT_NS + 1, SILENT_NS, Probe.GOOD, Level.HEADLESS),
    "agent hangs, node answers": (SILENT_NS + 1, None, Probe.GOOD, Level.HEADLESS),
    "only the tunnel is broken": (0, None, Probe.FAILING, Level.SUSPECTED),
    "suspected, and no answer": (5, 0, Probe.FAILING, Level.DEAD),
    "silent, and no answer": (SILENT_NS + 1, None, Probe.FAILING, Level.DEAD),
    "silent for an hour, nobody probes": (3600 * 10**9, 10**9, Probe.UNKNOWN, Level.SUSPECTED),
    "never heard": (None, None, Probe.UNKNOWN, Level.SUSPECTED),
    "never heard, node answers": (None, None, Probe.GOOD, Level.HEADLESS),
}


def test_overdue_beats_are_suspicion_and_with_a_failing_probe_death():
    alive = Standing(Level.ALIVE, T0 - 1)
    assert judge(alive, Witnesses(T0, overdue=True), T0).level is Level.SUSPECTED
    assert judge(alive, Witnesses(T0, probe=Probe.GOOD, overdue=True), T0).level is Level.SUSPECTED
    assert judge(alive, Witnesses(T0, probe=Probe.FAILING, overdue=True), T0).level is Level.DEAD


def ago(age_ns, now_ns):
    return None if age_ns is None else now_ns - age_ns


@pytest.mark.parametrize(("age_ns", "gone_for_ns", "probe", "level"), LEVELS.values(), ids=LEVELS)
def test_levels_follow_from_the_witnesses(age_ns, gone_for_ns, probe, level):
    alive = Standing(Level.ALIVE, T0 - 1)
    assert judge(alive, Witnesses(ago(age_ns, T0), ago(gone_for_ns, T0), probe), T0).level is level


STEPS = st.lists(
    st.tuples(
        st.integers(0, 3 * 10**9),
        st.one_of(st.none(), st.integers(0, 2 * 10**9)),
        st.one_of(st.none(), st.integers(0, 2 * 10**9)),
        st.sampled_from(Probe),
    ),
    min_size=1,
    max_size=60,
)


def followed(steps):
    standing, now_ns = None, T0
    for elapsed_ns, age_ns, gone_for_ns, probe in steps:
        now_ns += elapsed_ns
        seen = Witnesses(ago(age_ns, now_ns), ago(gone_for_ns, now_ns), probe)
        standing = judge(standing, seen, now_ns)
        yield now_ns, seen, standing


@given(STEPS)
def test_nobody_is_dead_without_the_second_witness_nor_alive_without_news(steps):
    for now_ns, seen, standing in followed(steps):
        if standing.level is Level.DEAD:
            assert seen.probe is Probe.FAILING
        if standing.level is Level.ALIVE:
            assert seen.gone_ns is None or seen.gone_ns < seen.heard_ns
            assert now_ns - seen.heard_ns <= LATE_NS
        if standing.level is Level.HEADLESS:
            assert seen.probe is Probe.GOOD


@given(STEPS)
def test_asking_twice_changes_nothing(steps):
    for now_ns, seen, standing in followed(steps):
        assert judge(standing, seen, now_ns) == standing


@given(STEPS)
def test_since_is_when_the_level_last_changed(steps):
    for (_, _, before), (now_ns, _, after) in pairwise(followed(steps)):
        assert after.since_ns == (before.since_ns if before.level is after.level else now_ns)


def well(now_ns):
    return Witnesses(now_ns)


def gone(now_ns):
    return Witnesses(now_ns, now_ns)


def recovery_ns(standing, now_ns):
    """How long a node that is well from now on waits until it is believed."""
    began_ns = now_ns
    while (standing := judge(standing, well(now_ns), now_ns)).level is not Level.ALIVE:
        now_ns += PERIOD_NS
    return standing, now_ns - began_ns


def test_a_new_node_is_believed_with_its_first_state():
    assert judge(None, well(T0), T0).level is Level.ALIVE
    joining = judge(None, Witnesses(), T0)
    assert joining.level is Level.SUSPECTED
    assert judge(joining, well(T0 + 1), T0 + 1).level is Level.ALIVE


def test_each_fall_doubles_the_wait_up_to_a_bound():
    standing, now_ns, waits = judge(None, well(T0), T0), T0, []
    for _ in range(9):
        now_ns += PERIOD_NS
        standing = judge(standing, gone(now_ns), now_ns)
        standing, waited = recovery_ns(standing, now_ns)
        waits.append(waited)
        now_ns += waited
    assert waits[0] == HOLD_NS
    assert waits == sorted(waits)
    assert waits[3] > 4 * waits[0]
    assert HOLD_MAX_NS / 2 < max(waits) <= HOLD_MAX_NS + PERIOD_NS


def test_falls_are_forgiven_with_time():
    once = judge(judge(None, well(T0), T0), gone(T0), T0)
    again, later_ns = recovery_ns(once, T0)[0], T0 + 20 * CALM_NS
    fallen = judge(again, gone(later_ns), later_ns)
    assert recovery_ns(fallen, later_ns)[1] <= HOLD_NS + PERIOD_NS


def test_a_relapse_while_waiting_starts_the_wait_anew():
    fallen = judge(judge(None, well(T0), T0), gone(T0), T0)
    half = judge(fallen, well(T0 + 1), T0 + 1)
    at_ns = T0 + HOLD_NS - 1
    relapsed = judge(half, gone(at_ns), at_ns)
    assert relapsed.since_ns == fallen.since_ns
    assert recovery_ns(relapsed, at_ns)[1] == HOLD_NS
