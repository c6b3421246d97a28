"""A replayed trace keeps its shape, at the speed asked for, and never shows what comes later."""

import gzip

import numpy as np
import pytest

from sentinel_api.errors import Invalid
from sentinel_lab.traffic.patterns import schedule
from sentinel_lab.traffic.replay import MEAN_PPS, MOST_PPS


@pytest.fixture
def trace(tmp_path):
    def written(text: str, name: str = "trace.csv") -> str:
        path = tmp_path / name
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
        return f"trace:{path}"

    return written


def counts(plan, seconds: float, bin_s: float = 1.0) -> list[int]:
    return np.histogram(plan.times_s, bins=np.arange(0, seconds + bin_s / 2, bin_s))[0].tolist()


def test_counts_per_second_keep_their_shape_and_get_the_labs_mean(trace):
    rows = "".join(f"{second},{4 if second == 3 else 2}\n" for second in range(10))
    found = counts(schedule(trace("t_seconds,requests\n" + rows, "trace.csv.gz"), 10.0), 10.0)
    assert sum(found) == pytest.approx(MEAN_PPS * 10, abs=2)
    assert found[3] == pytest.approx(2 * found[0], rel=0.01)


def test_speed_packs_as_much_time_into_less(trace):
    spelled = trace("t_seconds,requests\n" + "".join(f"{second},{second % 4 + 1}\n" for second in range(40)))
    slow, fast = counts(schedule(spelled, 40.0), 40.0), counts(schedule(spelled + "@4", 10.0), 10.0, 0.5)
    assert np.corrcoef(np.reshape(slow, (20, 2)).sum(axis=1), fast)[0, 1] > 0.99


def test_events_weigh_what_their_bytes_say(trace):
    events = [(at / 10 + (0.03 if at else 0.0), 3000 if at == 55 else 1000) for at in range(100)]
    rows = "t_seconds,bytes\n" + "".join(f"{at:.2f},{octets}\n" for at, octets in events)
    found = counts(schedule(trace(rows), 10.0), 10.0, 0.1)
    assert sorted(found)[-1] == pytest.approx(3 * found[10], rel=0.05)


def test_no_row_is_louder_than_a_lab_can_send(trace):
    rows = "t_seconds,bytes\n" + "".join(f"{at},{10**12 if at == 5 else 1}\n" for at in range(10))
    assert max(counts(schedule(trace(rows), 10.0), 10.0, 0.1)) <= MOST_PPS * 0.1 + 1


def test_a_trace_that_is_too_short_begins_again(trace):
    spelled = trace("t_seconds,requests\n0,1\n1,3\n")
    assert counts(schedule(spelled, 4.0), 4.0)[:2] == counts(schedule(spelled, 4.0, begin_s=2.0), 4.0)[:2]


def test_a_jump_is_a_burst_once_enough_was_seen_before_it(trace):
    rows = "".join(f"{second},{20 if 50 <= second < 52 else 1}\n" for second in range(60))
    plan = schedule(trace("t_seconds,requests\n" + rows), 20.0, begin_s=40.0)
    assert len(plan.bursts) == 1
    assert plan.bursts[0] == pytest.approx((10.0, 12.0), abs=0.11)


@pytest.mark.parametrize(
    ("text", "speed", "says"),
    [
        ("t_seconds,requests\n0,1\n", "@0", "speed"),
        ("t_seconds,requests\n0,1\n", "@fast", "speed"),
        ("when,requests\n0,1\n", "", "t_seconds"),
        ("t_seconds,requests\n", "", "one row"),
        ("t_seconds,requests\n0,0\n1,0\n", "", "silent"),
    ],
)
def test_what_cannot_be_replayed_is_refused_in_a_sentence(trace, text, speed, says):
    with pytest.raises(Invalid, match=says):
        schedule(trace(text) + speed, 10.0)


def test_a_missing_trace_is_named():
    with pytest.raises(Invalid, match="nowhere"):
        schedule("trace:nowhere.csv", 10.0)
