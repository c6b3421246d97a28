"""What neighbours' alarms save is counted over all later nodes, and where nobody lost anything nothing was saved."""

from __future__ import annotations

import pytest

from sentinel_lab.bench.mesh_neighbours import figures


def rows(kind: str, listening: str, *drops: int) -> list[dict[str, object]]:
    return [{"kind": kind, "listening": listening, "dropped": each, "arrived": 1000} for each in drops]


def test_the_reduction_is_of_all_drops_and_not_the_mean_of_shares():
    found = figures([*rows("correlated", "alone", 100, 20), *rows("correlated", "shared", 30, 0)])
    assert found["neighbours.correlated.drop_percent_alone"] == pytest.approx(6.0)
    assert found["neighbours.correlated.reduction_percent"] == pytest.approx(75.0)
    assert found["neighbours.correlated.bursts"] == 2.0


def test_harm_is_what_sharing_adds_in_points():
    found = figures([*rows("unrelated", "alone", 10), *rows("unrelated", "shared", 15)])
    assert found["neighbours.unrelated.harm_points"] == pytest.approx(0.5)


def test_where_nothing_was_lost_there_is_no_reduction_and_of_one_way_alone_nothing_is_said():
    assert "neighbours.correlated.reduction_percent" not in figures(
        [*rows("correlated", "alone", 0), *rows("correlated", "shared", 0)]
    )
    assert not figures(rows("correlated", "alone", 5))
