"""The prober's own time: a held-up prober proves nothing, and a thousand nodes are not probed too often."""

from hypothesis import given
from hypothesis import strategies as st

from sentinel_lb.decide.prober import ALONE_NS, MISSED, MOST_NS, PROBES_PER_S, Patience, Rhythm, period_ns

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


def patient(*gaps_ns, rounds_ns=100_000_000):
    patience = Patience()
    for gap_ns in gaps_ns:
        patience = patience.after(gap_ns, rounds_ns)
    return patience


WANTED_NS = 25_000_000


def test_where_answers_are_punctual_three_intervals_are_enough():
    assert patient(*[26_000_000] * 100).period_ns(WANTED_NS) == WANTED_NS


def test_one_long_gap_alone_teaches_no_patience_and_a_second_does():
    assert patient(160_000_000).period_ns(WANTED_NS) == WANTED_NS
    twice = patient(160_000_000, 160_000_000)
    assert MISSED * twice.period_ns(WANTED_NS) > 160_000_000


def test_an_absence_teaches_nothing():
    assert patient(MOST_NS + 1, MOST_NS + 1, MOST_NS + 1).period_ns(WANTED_NS) == WANTED_NS


def test_patience_fades_until_three_intervals_are_enough_again():
    assert patient(160_000_000, 160_000_000, *[0] * 300).period_ns(WANTED_NS) == WANTED_NS


@given(st.lists(st.integers(0, 10**10), max_size=50), st.integers(20_000_000, 10**9))
def test_patience_is_never_less_than_wanted_and_has_an_end(gaps_ns, wanted_ns):
    assert wanted_ns <= patient(*gaps_ns).period_ns(wanted_ns) <= max(wanted_ns, MOST_NS // MISSED)
