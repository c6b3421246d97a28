"""Schedules are what the benchmark's truth rests on."""

import numpy as np
import pytest

from sentinel_api.errors import Invalid
from sentinel_lab.traffic.patterns import BURST_PPS, CALM_PPS, PATTERNS, schedule


@pytest.mark.parametrize("pattern", PATTERNS)
def test_arrivals_are_in_order_and_within_the_run(pattern):
    times = schedule(pattern, 20.0, seed=3).times_s
    assert times.size > 0
    assert (np.diff(times) >= 0).all()
    assert times[0] >= 0
    assert times[-1] < 20.0


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_same_seed_gives_the_same_schedule(pattern):
    assert np.array_equal(schedule(pattern, 10.0, seed=5).times_s, schedule(pattern, 10.0, seed=5).times_s)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_the_truth_covers_every_stretch_of_burst_rate_and_no_calm_one(pattern):
    plan = schedule(pattern, 30.0, seed=1)
    counts, edges = np.histogram(plan.times_s, bins=np.arange(0, 30.05, 0.1))
    for count, start, end in zip(counts, edges[:-1], edges[1:], strict=True):
        covered = sum(max(0.0, min(end, last) - max(start, first)) for first, last in plan.bursts) / 0.1
        if count > 0.1 * 3.1 * CALM_PPS:
            assert covered > 0
        if covered > 0.99:
            assert count > 0.1 * 3 * CALM_PPS


def test_periodic_bursts_are_ten_times_the_calm_rate_two_seconds_in_every_ten():
    plan = schedule("periodic", 20.0)
    assert plan.bursts == ((4.0, 6.0), (14.0, 16.0))
    assert plan.times_s.size == 2 * 2 * BURST_PPS + 16 * CALM_PPS


def test_a_burst_at_the_end_of_the_run_is_cut_there():
    assert schedule("periodic", 5.0).bursts == ((4.0, 5.0),)


def test_scale_multiplies_the_rate_and_keeps_the_bursts():
    whole, half = schedule("periodic", 10.0), schedule("periodic", 10.0, scale=0.5)
    assert half.times_s.size * 2 == whole.times_s.size
    assert half.bursts == whole.bursts


def test_scheduled_bursts_are_short_and_on_a_grid():
    plan = schedule("scheduled", 60.0, seed=2)
    starts, ends = np.array(plan.bursts).T
    assert np.allclose(np.diff(starts), 5.0)
    assert ((ends - starts >= 0.05 - 1e-9) & (ends - starts <= 0.5 + 1e-9)).all()


def test_cron_jobs_stray_from_their_timetable_by_the_sigma_asked_for():
    for sigma in (0.0, 1.0):
        starts = np.array([start for start, _ in schedule(f"cron:{sigma:g}", 4_000.0, seed=1).bursts])
        assert np.std((starts - 4.0 + 5.0) % 10.0) == pytest.approx(sigma, rel=0.15, abs=1e-6)


@pytest.mark.parametrize("spelled", ["cron:much", "cron:-1", "periodic:3", "trace", "llm:2"])
def test_a_pattern_with_a_wrong_argument_is_refused(spelled):
    with pytest.raises(Invalid):
        schedule(spelled, 10.0)


@pytest.mark.parametrize(("pattern", "seconds", "scale"), [("tidal", 10, 1), ("periodic", 0, 1), ("periodic", 10, 0)])
def test_what_cannot_be_scheduled_is_refused_in_a_sentence(pattern, seconds, scale):
    with pytest.raises(Invalid):
        schedule(pattern, seconds, scale=scale)
