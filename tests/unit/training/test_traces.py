"""Traces of any folder: counts at a resolution that is theirs, gaps told from silence, and refusals with a reason."""

import gzip

import numpy as np
import pytest

from sentinel_api.errors import Invalid
from sentinel_training import traces


def written(folder, name, header, rows):
    with gzip.open(folder / f"{name}.csv.gz", "wt") as file:
        file.write(",".join(header) + "\n")
        file.writelines(",".join(map(str, row)) + "\n" for row in rows)


def test_events_are_counted_by_the_second(tmp_path):
    random = np.random.default_rng(0)
    times = np.sort(random.uniform(0, 700, 3000))
    written(tmp_path, "web", ["t_seconds", "bytes"], [(0, 10), *((f"{t:.6f}", 10) for t in times)])
    trace = traces.load(tmp_path, "web")
    assert trace.counts.sum() == 3001
    assert trace.counts[17] == ((times >= 17) & (times < 18)).sum()
    assert trace.known.all()
    assert trace.warm_up == len(trace.counts) // 2


def test_a_table_of_counts_is_summed_and_missing_bins_are_zero(tmp_path):
    rows = [(t, 3, 4) for t in range(0, 1200, 2)] + [(1199, 1, 1)]
    written(tmp_path, "net", ["t_seconds", "dns", "ssl"], rows)
    trace = traces.load(tmp_path, "net")
    assert trace.counts[:4].tolist() == [7, 0, 7, 0]
    assert trace.known.all()  # half of the seconds are empty: that is silence


def test_a_long_hole_in_a_dense_recording_is_a_gap(tmp_path):
    rows = [(t, 50) for t in range(2000) if not 900 <= t < 930 and t not in (500, 501)]
    written(tmp_path, "stream", ["t_seconds", "requests"], rows)
    trace = traces.load(tmp_path, "stream")
    assert np.flatnonzero(~trace.known).tolist() == list(range(900, 930))


def test_a_second_week_is_learned_from_the_first(tmp_path):
    for week, first in (("w1", 0), ("w2", 5000)):
        written(tmp_path, f"s_{week}", ["t_seconds", "requests"], [(first + t, 5) for t in range(1000)])
    trace = traces.load(tmp_path, "s_w2")
    assert (len(trace.counts), trace.warm_up) == (2000, 1000)
    assert traces.load(tmp_path, "s_w1").warm_up == 500


@pytest.mark.parametrize(
    ("header", "rows", "why"),
    [
        (["t_seconds", "n"], [(t, 1) for t in range(100)], "covers 99 s"),
        (["t_seconds", "tokens"], [(t * 3, 1) for t in range(500) for _ in range(2)], "stamped every 3 s"),
        (["t_seconds", "n"], [(t * 3 + (0.001, 0, -0.001)[t % 3] * (t > 0), 1) for t in range(500)], "every 3 s"),
        (["t_seconds", "capacity_mbps"], [(t, 1) for t in range(1000)], "levels, not arrivals"),
        (["time", "n"], [(t, 1) for t in range(1000)], "first column must be t_seconds"),
    ],
)
def test_what_cannot_be_judged_is_refused_with_its_reason(tmp_path, header, rows, why):
    written(tmp_path, "x", header, rows)
    with pytest.raises(traces.NotUsable, match=why):
        traces.load(tmp_path, "x")


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(Invalid, match="holds no trace"):
        traces.names(tmp_path)
