"""`helm test` finds a leader, or says what to look at."""

from datetime import UTC, datetime, timedelta

import pytest

from sentinel_api.errors import Transient
from sentinel_operator.selftest import leader

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def lease(age_s: float, holder: str = "pod-1"):
    at = NOW - timedelta(seconds=age_s)
    return {"spec": {"holderIdentity": holder, "renewTime": at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")}}


def test_a_fresh_lease_names_the_leader():
    assert leader(lease(3), NOW) == "pod-1"


@pytest.mark.parametrize("found", [None, {"spec": {}}, lease(1, holder="")])
def test_nobody_leads(found):
    with pytest.raises(Transient, match="no replica leads"):
        leader(found, NOW)


def test_a_lease_that_ended_says_since_when():
    with pytest.raises(Transient, match="pod-1 led until 60 s ago"):
        leader(lease(60), NOW)
