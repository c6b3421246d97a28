"""The schedule learner behind the agent's port: time by the samples' own stamps, and sizes from the queue."""

from dataclasses import replace

import numpy as np
import pytest

from sentinel_agent.predict.schedule import Schedule
from sentinel_api.records import CLASSES
from sentinel_core.sample import ALL_VALID, PERIOD_NS, Sample, Valid

pytestmark = pytest.mark.timeout(300)  # thousands of steps: seconds of work, and far more where cores are shared

MTU = 1_000


def sample(step, packets, backlog=0, drops=0, periods=1, valid=ALL_VALID):
    def column(value, kind):
        found = np.zeros(CLASSES, kind)
        found[1] = value
        return found

    return Sample(
        t_ns=step * PERIOD_NS + 7,
        period_ns=periods * PERIOD_NS,
        bytes=column(packets * MTU, np.uint64),
        packets=column(packets, np.uint64),
        new_flows=column(0, np.uint64),
        syns=column(0, np.uint64),
        drops=column(drops, np.uint64),
        backlog_bytes=column(backlog, np.uint64),
        limit_bytes=column(1 << 20, np.uint64),
        sojourn_us_p50=column(0, np.uint32),
        sojourn_us_p95=column(0, np.uint32),
        sojourn_us_p99=column(0, np.uint32),
        valid=np.full(CLASSES, valid, np.uint8),
    )


def packets_at(step):
    return 1000 if step >= 400 and step % 100 < 20 else 100


def run(forecaster, steps, lost=()):
    """One sample a step; a lost tick's packets are in the next sample."""
    forecast, periods, packets = None, 0, 0
    for step in steps:
        periods, packets = periods + 1, packets + packets_at(step)
        if step in lost:
            continue
        backlog = 1_000 * (step % 100) * 100 if packets_at(step) > 100 else 0
        forecast = forecaster.predict(sample(step, packets, backlog, periods=periods))
        periods, packets = 0, 0
    return forecast


def test_a_burst_every_ten_seconds_is_expected_by_name_time_and_size():
    forecaster = Schedule()
    before = run(forecaster, range(1490))
    assert before.source == "schedule"
    assert before.burst_within(2)[1] > 0.5
    assert before.burst_within(2)[0] == 0.0 or before.burst_within(2)[0] < 0.05
    assert before.seconds_to_burst()[1] == pytest.approx(1.0, abs=0.6)
    assert before.magnitude_bytes[1, 1] == pytest.approx(1_900_000, rel=0.1)  # what the queue grew by
    after = run(forecaster, range(1490, 1540))
    assert after.burst_within(2)[1] < 0.3


def test_late_ticks_do_not_move_the_grid():
    random = np.random.default_rng(1)
    lost = set(random.choice(1400, 200, replace=False).tolist())
    assert run(Schedule(), range(1490), lost).burst_within(2)[1] > 0.5


def test_refused_packets_count_as_room_that_was_missing():
    forecaster = Schedule()
    for step in range(1490):
        packets = packets_at(step)
        forecaster_said = forecaster.predict(sample(step, packets, drops=200 if packets > 100 else 0))
    assert forecaster_said.magnitude_bytes[1, 1] == pytest.approx(20 * 200 * MTU, rel=0.1)


def test_without_a_queue_the_surplus_is_over_the_mean():
    forecaster = Schedule()
    for step in range(1490):
        said = forecaster.predict(sample(step, packets_at(step), valid=Valid.COUNTERS))
    assert said.magnitude_bytes[1, 1] == pytest.approx(20 * 720 * MTU, rel=0.15)


def test_a_stretch_without_samples_is_a_gap_that_costs_some_steps_and_no_phase():
    forecaster = Schedule()
    run(forecaster, range(1490))
    learner, taken = forecaster.senses.schedule, []
    step = learner.step
    learner.step = lambda *seen: taken.append(1) or step(*seen)
    said = forecaster.predict(sample(37_080, 100, periods=35_590))  # an hour
    assert len(taken) < 20
    assert not forecaster.began.any()
    assert np.isfinite(said.hazard).all()
    later = run(forecaster, range(37_081, 37_490))  # a minute of seen traffic comes before the next forecast
    assert later.burst_within(2)[1] > 0.5


def test_steady_demand_is_expected_to_stay_from_the_first_second_on():
    forecaster = Schedule()
    for step in range(300):
        said = forecaster.predict(sample(step, 100))
        if step >= 10:
            assert said.demand[1, :, 1] == pytest.approx(100 * 10 * MTU, rel=0.01)


def test_counters_that_were_made_anew_begin_no_burst():
    forecaster = Schedule()
    run(forecaster, range(390))
    forecaster.predict(replace(sample(390, 90_000), valid=np.zeros(CLASSES, np.uint8)))
    assert not forecaster.began.any()
