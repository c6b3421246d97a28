"""Figures are taken from uneven ticks without letting the uneven ones count more."""

from dataclasses import replace

import pytest

from sentinel_lab.history import History, Tick


def tick(at_s: float, limit: int = 0, sojourn: tuple[int, ...] = ()) -> Tick:
    return Tick(int(at_s * 1e9), limit, 0, 0, 0, 0, 0, 0, sojourn)


def test_a_mean_over_time_weighs_each_value_by_how_long_it_stood():
    history = History()
    for at_s, limit in ((0.0, 100), (1.0, 1000), (10.0, 7)):
        history.add(1, tick(at_s, limit))
    assert history.time_mean(1, "limit_bytes") == pytest.approx((100 * 1 + 1000 * 9) / 10)


def test_what_was_before_the_traffic_counts_for_nothing():
    history = History()
    for at_s, limit in ((0.0, 5), (5.0, 5), (10.0, 700), (11.0, 900), (12.0, 0)):
        history.add(1, tick(at_s, limit))
    assert history.after(int(10e9)).time_mean(1, "limit_bytes") == pytest.approx(800)


def test_what_leaves_after_the_run_has_not_got_through_in_it():
    history = History()
    for at_s, sent in ((10.0, 500), (11.0, 2_500), (12.0, 4_500), (14.0, 90_000)):
        history.add(1, replace(tick(at_s), sent_bytes=sent))
    assert history.leaving_bytes_per_s(1, 3.0) == pytest.approx(2_000.0)
    assert history.leaving_bytes_per_s(4, 3.0) == 0.0


def test_a_class_that_was_never_seen_has_no_figures():
    history = History()
    assert history.time_mean(4, "limit_bytes") == 0.0
    assert history.sojourn_ms(4, 0.99) == 0.0


def test_the_sojourn_is_the_last_ticks_histogram():
    histogram = [0] * 96
    histogram[40] = 99  # 1024 to 1280 us
    histogram[44] = 1  # 2048 to 2560 us
    history = History()
    history.add(1, tick(0.5, sojourn=(0,) * 96))
    history.add(1, tick(1.0, sojourn=tuple(histogram)))
    assert history.sojourn_ms(1, 0.99) == pytest.approx(1.28)
    assert history.sojourn_ms(1, 1.0) == pytest.approx(2.56)
