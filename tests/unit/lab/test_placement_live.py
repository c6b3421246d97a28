"""The figures of placement on real packets, from what its rounds found."""

import pytest

from sentinel_lab.bench import placement_live


def test_rounds_become_means_and_intervals_around_them():
    found = {
        "readiness": [{"drop_share": 0.0, "p99_ms": 10.0}, {"drop_share": 0.02, "p99_ms": 30.0}],
        "maglev": [{"drop_share": 0.1, "p99_ms": 50.0}, {"drop_share": 0.1, "p99_ms": 50.0}],
    }
    told = placement_live.figures(found)
    assert told["namespaces.drops_readiness"] == pytest.approx(0.01)
    assert told["namespaces.p99_ms_maglev"] == pytest.approx(50.0)
    row = placement_live.rows("readiness", found["readiness"])
    low, high = row["drop_share_interval"]
    assert low <= 0.01 <= high
    assert placement_live.interval([0.1, 0.1]) == (pytest.approx(0.1), pytest.approx(0.1))
