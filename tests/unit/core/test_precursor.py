"""Signs of a burst: silent over noise, loud before a ramp peaks, and never more than certain."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel_core.precursor import SEVERE, WEIGHTS, Precursors, Signs, no_signs

PERIOD_S = 0.1
NONE = np.zeros(1)
SHARES = st.floats(0, 1)


def signs_of(rates, syns=None, fullness=0.0, alarm=0.0):
    """The signs after each rate, of one class."""
    found = Precursors(1)
    syns = [0.0] * len(rates) if syns is None else syns
    return [
        found.step(np.array([rate]), np.array([syn]), np.array([fullness]), np.array([alarm]), PERIOD_S)
        for rate, syn in zip(rates, syns, strict=True)
    ]


def counted(mean_per_s, periods, seed):
    """Poisson counts as rates, as a real sample has them."""
    return np.random.default_rng(seed).poisson(mean_per_s * PERIOD_S, periods) / PERIOD_S


@pytest.mark.parametrize("mean_per_s", [1, 30, 1_000])
def test_random_arrivals_alone_are_hardly_ever_a_sign(mean_per_s):
    warned = [float(each.warning[0]) > 0 for each in signs_of(np.zeros(6_000), counted(mean_per_s, 6_000, 7))]
    assert sum(warned) <= 0.005 * len(warned)


def test_a_steady_class_shows_no_sign_at_any_rate():
    assert all(each.severity[0] == 0 for each in signs_of([1e6] * 400, [50.0] * 400))


def test_connections_that_grow_before_the_bytes_do_are_severe():
    syns = np.concatenate([counted(20, 300, 1), counted(200, 10, 2)])
    last = signs_of([1e6] * 310, syns)[-1]
    assert last.severity[0] >= SEVERE
    assert last.words(0).startswith("syn growth")


def test_a_ramp_of_five_seconds_is_severe_before_its_middle():
    calm = 1e6 * (1 + 0.05 * np.random.default_rng(3).standard_normal(300))
    ramp = np.linspace(1e6, 10e6, 50)
    severe = [bool(each.warning[0] > 0) for each in signs_of(np.concatenate([calm, ramp]))]
    assert not any(severe[:300])
    assert severe.index(True) < 325


def test_a_node_that_just_started_has_no_past_to_compare_with():
    assert all(each.severity[0] == 0 for each in signs_of([0.0] * 5 + [1e9] * 20))


def test_an_alarm_of_a_neighbour_is_severe_alone_and_a_queue_that_fills_only_with_another_sign():
    assert signs_of([1e6], alarm=1.0)[0].warning[0] > 0
    assert 0 < signs_of([1e6], fullness=1.0)[0].severity[0] < SEVERE
    assert signs_of([1e6], fullness=1.0, alarm=0.3)[0].warning[0] > 0
    assert signs_of([1e6], fullness=0.25)[0].severity[0] == 0


def test_nothing_is_said_of_a_class_without_signs():
    assert no_signs(16).words(3) == ""
    assert not no_signs(16).warning.any()


@given(st.fixed_dictionaries(dict.fromkeys(WEIGHTS, SHARES)), st.sampled_from(sorted(WEIGHTS)), SHARES)
def test_severity_stays_within_one_and_never_falls_when_a_sign_grows(signs, name, more):
    def severity(values):
        return float(Signs(**{each: np.array([value]) for each, value in values.items()}).severity[0])

    stronger = signs | {name: max(signs[name], more)}
    assert 0 <= severity(signs) <= severity(stronger) + 1e-12
    assert severity(stronger) <= 1


@given(st.lists(st.floats(0, 1e12), min_size=1, max_size=200), st.floats(0.05, 5))
def test_signs_are_shares_whatever_the_rates_and_however_late_the_ticks(rates, elapsed_s):
    found = Precursors(1)
    for rate in rates:
        step = found.step(np.array([rate]), np.array([rate]), NONE, NONE, elapsed_s)
        assert 0 <= step.severity[0] <= 1
        assert np.isfinite(step.slope[0])
