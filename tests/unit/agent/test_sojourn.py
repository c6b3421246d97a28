"""Time in the queue from growing histograms: the same as bucket by bucket, and only of what is new."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from sentinel_agent.sojourn import QUANTILES, Quantiles, gained
from sentinel_bpf.buffer.port import sojourn_quantile_us

BUCKETS = 96
ROWS = st.lists(
    st.dictionaries(st.integers(0, BUCKETS - 1), st.integers(1, 10**9), max_size=8), min_size=1, max_size=16
)


def counts(rows):
    table = np.zeros((len(rows), BUCKETS), np.int64)
    for i, row in enumerate(rows):
        for bucket, count in row.items():
            table[i, bucket] = count
    return table


@given(ROWS)
def test_all_classes_at_once_give_what_each_alone_does(rows):
    table = counts(rows)
    found = Quantiles(BUCKETS).of(table)
    for i, row in enumerate(table):
        alone = [round(sojourn_quantile_us(row.tolist(), level)) for level in QUANTILES]
        assert np.abs(found[i].astype(np.int64) - alone).max() <= 1, "but for rounding a half"


@given(ROWS, ROWS)
def test_only_what_was_added_counts_and_a_histogram_that_was_reset_counts_from_nothing(before, added):
    size = min(len(before), len(added))
    first, more = counts(before[:size]), counts(added[:size])
    assert (gained(first + more, first) == more).all()
    assert (gained(more, None) == more).all()
    shrunk = gained(first, first + more)
    assert (shrunk >= 0).all()
