"""The prober's own time: a held-up prober proves nothing, and a thousand nodes are not probed too often."""

from sentinel_lb.decide.prober import ALONE_NS, MISSED, PROBES_PER_S, Rhythm, period_ns

MS = 1_000_000


def test_the_interval_is_as_wanted_until_there_are_too_many_nodes():
    assert period_ns(25, 0) == period_ns(25, 1000) == 25 * MS
    assert period_ns(20, 1000) == 25 * MS
    for count in (1, 1000, 1024):
        assert count * 1e9 / period_ns(20, count) <= PROBES_PER_S


def steady(rounds, start=10**12, period=25 * MS):
    rhythm, now = Rhythm(), start
    for _ in range(rounds):
        now += period
        rhythm = rhythm.after(now, period)
    return rhythm, now


def test_it_is_believed_only_after_as_many_steady_rounds_as_a_dead_node_misses():
    for rounds in range(1, MISSED + 2):
        rhythm, now = steady(rounds)
        assert not rhythm.believed(now, 25 * MS, now)
    rhythm, now = steady(MISSED + 2)
    assert rhythm.believed(now, 25 * MS, now)


def test_a_late_round_starts_the_count_anew():
    rhythm, now = steady(10)
    assert rhythm.after(now + 50 * MS, 25 * MS).believed(now + 50 * MS, 25 * MS, now)
    assert not rhythm.after(now + 51 * MS, 25 * MS).believed(now + 51 * MS, 25 * MS, now + 51 * MS)


def test_a_prober_that_stands_still_proves_nothing():
    rhythm, now = steady(10)
    assert rhythm.believed(now + 75 * MS, 25 * MS, now)
    assert not rhythm.believed(now + 76 * MS, 25 * MS, now + 76 * MS)


def test_while_nobody_answers_the_fault_is_our_own_until_it_lasts():
    rhythm, now = steady(60)
    assert rhythm.believed(now, 25 * MS, now - 75 * MS)
    assert not rhythm.believed(now, 25 * MS, now - 76 * MS)
    assert not rhythm.believed(now, 25 * MS, now - ALONE_NS)
    assert rhythm.believed(now, 25 * MS, now - ALONE_NS - 1)
    fresh, now = steady(30)
    assert not fresh.believed(now, 25 * MS, 0), "it has not asked for that long itself"
