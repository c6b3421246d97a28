"""What is remembered of how suddenly bursts came."""

import numpy as np
import pytest

from sentinel_api.records import CLASSES
from sentinel_core.sample import ALL_VALID, PERIOD_NS, Sample, Valid
from sentinel_core.surges import HALF_NS, MARGIN, Surges

TICKS_TO_FORGET = 2 * HALF_NS // PERIOD_NS
FRAME = 1_000


def sampled(at, backlog, limit=64 * FRAME, refused=0, periods=1, valid=ALL_VALID):
    """Class 1 at tick `at`; `backlog` and `limit` in bytes, `refused` in frames."""

    def column(value, kind=np.uint64):
        found = np.zeros(CLASSES, kind)
        found[1] = value
        return found

    none = column(0, np.uint32)
    return Sample(
        at * PERIOD_NS, periods * PERIOD_NS, column(100 * FRAME), column(100), column(0), column(0), column(refused),
        column(backlog), column(limit), none, none, none, np.full(CLASSES, valid, np.uint8),
    )  # fmt: skip


def after(*samples):
    surges = Surges(CLASSES)
    for each in samples:
        surges.step(each)
    return surges.bytes / MARGIN


def test_it_is_the_largest_growth_of_the_queue_within_a_period():
    assert after(*(sampled(at, backlog) for at, backlog in enumerate([5_000, 6_000, 30_000, 40_000, 0])))[1] == 24_000


def test_a_queue_that_refused_packets_was_full_then_even_if_it_has_drained_since():
    found = after(sampled(1, 4_000), sampled(2, 0, limit=64_000, refused=50))
    assert found[1] == 64_000 + 50_000 - 4_000


def test_a_tick_that_comes_late_sees_the_growth_of_several_periods():
    assert after(sampled(1, 0), sampled(5, 40_000, periods=4))[1] == 10_000


@pytest.mark.parametrize("order", [(ALL_VALID, Valid.COUNTERS), (Valid.COUNTERS, ALL_VALID)])
def test_a_queue_that_was_not_measured_teaches_nothing(order):
    first, second = order
    assert not after(sampled(1, 0, valid=first), sampled(2, 90_000, valid=second)).any()


def test_it_is_remembered_for_a_minute_and_forgotten_after_two():
    surges = Surges(CLASSES)
    surges.step(sampled(0, 0))
    surges.step(sampled(1, 30_000))
    found = []
    for at in range(2, TICKS_TO_FORGET + 2):
        surges.step(sampled(at, 30_000))
        found.append(surges.bytes[1])
    assert found[HALF_NS // PERIOD_NS] == MARGIN * 30_000
    assert found[-1] == 0.0
