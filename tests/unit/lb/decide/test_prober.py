"""The prober's own time: a held-up prober proves nothing, and a thousand nodes are not probed too often."""

from sentinel_lb.decide.prober import MISSED, PROBES_PER_S, Rhythm, period_ns

MS = 1_000_000


def test_the_interval_is_as_wanted_until_there_are_too_many_nodes():
    assert period_ns(25, 0) == period_ns(25, 1000) == 25 * MS
    assert period_ns(20, 1000) == 25 * MS
    for count in (1, 1000, 1024):
        assert count * 1e9 / period_ns(20, count) <= PROBES_PER_S


def test_it_is_believed_only_after_as_many_steady_rounds_as_a_dead_node_misses():
    rhythm, now = Rhythm(), 10**12
    for _ in range(MISSED + 1):
        rhythm = rhythm.after(now, 25 * MS)
        assert not rhythm.trusted
        now += 25 * MS
    assert rhythm.after(now, 25 * MS).trusted


def test_a_late_round_starts_the_count_anew():
    rhythm, now = Rhythm(), 10**12
    for _ in range(10):
        now += 25 * MS
        rhythm = rhythm.after(now, 25 * MS)
    assert rhythm.trusted
    assert rhythm.after(now + 50 * MS, 25 * MS).trusted
    assert not rhythm.after(now + 51 * MS, 25 * MS).trusted
