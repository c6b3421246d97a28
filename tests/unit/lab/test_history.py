"""Figures are taken from uneven ticks without letting the uneven ones count more."""

import pytest

from sentinel_lab.history import History, Tick


def tick(at_s: float, limit: int = 0, sojourn: tuple[int, ...] = ()) -> Tick:
    return Tick(int(at_s * 1e9), limit, 0, 0, 0, 0, 0, sojourn)


def test_a_mean_over_time_weighs_each_value_by_how_long_it_stood():
    history = History()
    for at_s, limit in ((0.0, 100), (1.0, 1000), (10.0, 7)):
        history.add(1, tick(at_s, limit))
    assert history.time_mean(1, "limit_bytes") == pytest.approx((100 * 1 + 1000 * 9) / 10)


def test_a_class_that_was_never_seen_has_no_figures():
    history = History()
    assert history.time_mean(4, "limit_bytes") == 0.0
    assert history.sojourn_ms(4, 0.99) == 0.0


def test_the_sojourn_quantile_is_the_upper_bound_of_its_bucket():
    history = History()
    histogram = [0] * 96
    histogram[40] = 99  # from 1024 us
    histogram[44] = 1  # from 2048 us
    history.add(1, tick(1.0, sojourn=tuple(histogram)))
    assert history.sojourn_ms(1, 0.5) == pytest.approx(1.28)
    assert history.sojourn_ms(1, 1.0) == pytest.approx(2.56)
