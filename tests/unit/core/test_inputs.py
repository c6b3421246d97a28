"""What a model sees: free of scale, aware of what is missing, and named by a digest."""

import numpy as np
import pytest

from sentinel_api.records import CLASSES
from sentinel_core import inputs
from sentinel_core.inputs import COLUMNS, DIGEST, FEATURES, InputWindow, Learned, seen
from sentinel_core.sample import ALL_VALID, PERIOD_NS, Sample, Valid


def sample(packets=0.0, backlog=0, valid=ALL_VALID, periods=1):
    def whole(value, kind=np.uint64):
        return np.full(CLASSES, round(value), kind)

    return Sample(
        t_ns=PERIOD_NS,
        period_ns=periods * PERIOD_NS,
        bytes=whole(packets * 1_000),
        packets=whole(packets),
        new_flows=whole(packets / 10),
        syns=whole(0),
        drops=whole(0),
        backlog_bytes=whole(backlog),
        limit_bytes=whole(1 << 20),
        sojourn_us_p50=whole(0, np.uint32),
        sojourn_us_p95=whole(500, np.uint32),
        sojourn_us_p99=whole(0, np.uint32),
        valid=np.full(CLASSES, valid, np.uint8),
    )


def learned(hazard=0.01, scale=1e6):
    return Learned(
        hazard=np.full((CLASSES, 10), hazard),
        certainty=np.zeros(CLASSES),
        age_s=np.full(CLASSES, np.inf),
        magnitude_bytes=np.full((CLASSES, 3), 2.0 * scale),
        demand=np.full((CLASSES, 4, 3), 3.0 * scale),
        scale_bps=np.full(CLASSES, scale),
    )


def after(*samples, **said):
    window = InputWindow(CLASSES)
    for each in samples:
        found = window.step(seen(each), learned(**said))
    return found


def column(name):
    return COLUMNS.index(name)


def test_the_first_sample_is_as_usual():
    assert not after(sample(10_000, backlog=10**6)).x[:, : len(FEATURES)].any()


def test_ten_times_the_mean_looks_the_same_at_any_scale():
    small = after(*[sample(1_000)] * 5, sample(10_000)).x[0, 0]
    large = after(*[sample(1_000_000)] * 5, sample(10_000_000)).x[0, 0]
    assert small == pytest.approx(np.log(10), abs=0.01)
    assert large == pytest.approx(small, abs=0.01)


def test_what_the_learners_say_looks_the_same_at_any_scale_but_in_the_last_column():
    small, large = (after(sample(1_000), scale=scale).x[0] for scale in (1e6, 1e9))
    assert small[len(FEATURES) : -1] == pytest.approx(large[len(FEATURES) : -1], abs=0.01)
    assert large[-1] - small[-1] == pytest.approx(np.log(1e3), abs=0.01)


def test_what_is_not_measured_is_as_usual_and_said_to_be_missing():
    found = after(*[sample(1_000, 5_000)] * 5, sample(90_000, 900_000, valid=Valid.QUEUE))
    assert found.x[0, column("throughput")] == 0.0
    assert found.x[0, column("queue_depth")] > 4.0
    assert found.x[0, column("latency")] == 0.0
    assert found.x[0, [column("queue_known"), column("latency_known")]].tolist() == [1.0, 0.0]
    assert not found.valid.any()


def test_a_gap_leaves_the_slow_mean_as_it_was():
    steady = [sample(1_000)] * 5
    assert np.array_equal(
        after(*steady, sample(0, valid=0), sample(5_000)).x[:, :2], after(*steady, sample(5_000)).x[:, :2]
    )


def test_a_late_tick_is_a_rate_like_any_other():
    assert after(*[sample(1_000)] * 5, sample(3_000, periods=3)).x[0, 0] == pytest.approx(0.0, abs=0.01)


def test_numbers_are_bounded():
    found = after(sample(0), sample(1e15), hazard=1.0)
    assert found.x[:, :-1].max() <= np.log1p(inputs.AGE_BOUND_S)
    assert found.x[0, column("hazard_logit_3")] == inputs.LOGIT_BOUND
    assert np.isfinite(found.x).all()
    assert found.x.dtype == np.float32


def test_an_impossible_second_is_told_from_an_unlikely_one():
    assert after(sample(1), hazard=0.0).x[0, column("hazard_logit_0")] == inputs.IMPOSSIBLE
    assert after(sample(1), hazard=1e-9).x[0, column("hazard_logit_0")] == -inputs.LOGIT_BOUND


def test_the_digest_is_of_64_hex_digits_and_known():
    assert len(DIGEST) == 64
    assert int(DIGEST, 16)
