"""The reactive rule: what is queued, and what the trend adds before the next look."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from sentinel_api.errors import Invalid
from sentinel_core.reactive import need_bytes

RATES = arrays.arrays(np.float64, 16, elements=st.floats(0, 1e10))
MS = 1_000_000


def each(value):
    return np.full(16, float(value))


def test_a_calm_class_needs_what_is_queued():
    assert (need_bytes(each(50), each(50), each(100), each(7)) == 7).all()


def test_a_steady_excess_needs_two_periods_of_it():
    assert need_bytes(each(1500), each(1500), each(500), each(0), 100 * MS) == pytest.approx(each(200))


def test_a_rising_excess_needs_its_slope_as_well():
    assert need_bytes(each(1500), each(500), each(1500), each(0), 100 * MS) == pytest.approx(each(200))


def test_a_faster_rule_needs_less_for_the_same_excess():
    slow = need_bytes(each(1500), each(1500), each(500), each(0), 100 * MS)
    fast = need_bytes(each(1500), each(1500), each(500), each(0), 10 * MS)
    assert fast == pytest.approx(slow / 10)


@given(RATES, RATES, RATES, RATES, RATES)
def test_more_arrivals_or_backlog_never_need_less_and_never_less_than_the_backlog(now, before, drain, backlog, more):
    need = need_bytes(now, before, drain, backlog)
    assert (need >= backlog).all()
    assert (need_bytes(now + more, before, drain, backlog) >= need).all()
    assert (need_bytes(now, before, drain, backlog + more) >= need).all()
    assert (need_bytes(now, before, drain + more, backlog) <= need).all()


def test_a_rule_without_a_period_is_refused():
    with pytest.raises(Invalid, match="above 0"):
        need_bytes(each(1), each(1), each(1), each(1), 0)
