"""What balancers intend: the newest record of each counts, while it is fresh; everything else is counted as refused."""

import pytest

from sentinel_api.records import CLASSES, Share
from sentinel_api.wire import SHARE_MAX_BYTES, pack_share
from sentinel_mesh.keys import Keys
from sentinel_mesh.shares import BALANCERS_MAX, FRESH_NS, Shares

T0 = 10**12
KEYS = Keys("c")


def row(amount):
    return (0,) * (CLASSES - 1) + (amount,)


def tell(shares, raw, now_ns=T0, balancer="lb1"):
    shares.told(KEYS.share(balancer), len(raw), lambda: raw, now_ns)


def share(seq=1, amount=4096, incarnation=7):
    return pack_share(Share(incarnation, seq, {"n1": row(amount)}))


@pytest.fixture
def shares():
    return Shares()


def test_each_balancers_newest_share_is_there_until_it_is_old(shares):
    tell(shares, share(1, 4096))
    tell(shares, share(2, 8192), T0 + 1)
    tell(shares, share(1, 1024), T0, "lb2")
    found = shares.fresh(T0 + FRESH_NS)
    assert {name: each.intended["n1"][-1] for name, each in found.items()} == {"lb1": 8192, "lb2": 1024}
    assert set(shares.fresh(T0 + FRESH_NS + 1)) == {"lb1"}
    assert not shares.fresh(T0 + FRESH_NS + 2)


@pytest.mark.parametrize(
    ("key", "raw"),
    [
        pytest.param(KEYS.share("lb1"), share(1), id="a record that was heard before"),
        pytest.param(KEYS.share("lb1"), share(9, incarnation=6), id="a process that ended"),
        pytest.param(KEYS.share("lb2"), b"garbage", id="garbage"),
        pytest.param(KEYS.share("lb2"), bytes(SHARE_MAX_BYTES + 1), id="too large"),
        pytest.param("sentinel/c/no name!/share", share(), id="a strange key"),
    ],
)
def test_what_is_not_believed_is_counted_and_changes_nothing(shares, key, raw):
    tell(shares, share(1))
    shares.told(key, len(raw), lambda: raw, T0)
    assert shares.refused == 1
    assert shares.fresh(T0)["lb1"].seq == 1


def test_a_stranger_cannot_fill_the_memory(shares):
    for number in range(BALANCERS_MAX + 1):
        tell(shares, share(), balancer=f"lb{number}")
    assert len(shares.fresh(T0)) == BALANCERS_MAX
    assert shares.refused == 1
