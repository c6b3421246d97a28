"""A recording holds what an agent would see, and the truth beside it and not in it."""

import numpy as np
import pytest
from click.testing import CliRunner
from pyarrow import csv, parquet

from sentinel_api.errors import Invalid
from sentinel_core.sample import ROW
from sentinel_lab.dataset import record, recorded


def test_one_command_records_the_bursts_asked_for_of_every_pattern_and_trace(tmp_path):
    trace = tmp_path / "web.csv"
    trace.write_text("t_seconds,requests\n" + "".join(f"{at},{30 if at % 60 == 45 else 1}\n" for at in range(600)))
    out = tmp_path / "bursts.parquet"
    arguments = [
        "--out",
        str(out),
        "--bursts",
        "130",
        "--pattern",
        "periodic",
        "--pattern",
        "cron",
        "--trace",
        str(trace),
    ]
    said = CliRunner().invoke(record, arguments, catch_exceptions=False)
    table = parquet.read_table(out).to_pydict()
    assert f"{len(table['run']):,} rows" in said.output
    assert set(table["pattern"]) == {"periodic", "cron", "web.csv"}
    assert sum(table["onset"]) >= 130
    assert set(ROW.names or ()) <= set(table)


def test_labels_say_when_a_burst_is_on_begins_and_comes_next():
    table = recorded(["periodic"], 1, 0)[0].to_pydict()
    mine = {name: np.array(column)[np.array(table["class"]) == 1] for name, column in table.items()}
    at = (mine["t_ns"] / 1e8).round().astype(int)
    began = at[mine["onset"]]
    assert began[:2].tolist() == [41, 141], "the period that ends a tenth after the onset at 4 s"
    assert mine["burst"].sum() == pytest.approx(60 * 20, abs=60)
    assert mine["seconds_to_onset"][at == 20][0] == pytest.approx(2.0)
    assert mine["seconds_to_onset"][-1] == -1.0
    assert mine["packets"][mine["burst"]].mean() > 5 * mine["packets"][~mine["burst"]].mean()
    assert (mine["backlog_bytes"] <= mine["limit_bytes"]).all()


def test_patterns_without_bursts_are_refused_and_not_waited_for(monkeypatch):
    monkeypatch.setattr("sentinel_lab.dataset.RUN_S", 10.0)
    with pytest.raises(Invalid, match="no bursts"):
        recorded(["steady"], 1, 0)


def test_a_csv_is_the_same_table(tmp_path):
    out = tmp_path / "bursts.csv"
    CliRunner().invoke(record, ["--out", str(out), "--bursts", "1", "--pattern", "periodic"], catch_exceptions=False)
    assert csv.read_csv(out).num_rows == 2 * 6000


@pytest.mark.parametrize(
    "arguments",
    [
        ["--out", "x.txt"],
        ["--bursts", "0"],
        ["--pattern", "tidal"],
        ["--trace", "nowhere.csv"],
        ["--pattern", "steady"],
    ],
)
def test_what_cannot_be_recorded_is_refused(arguments, tmp_path):
    with pytest.raises(Invalid):
        CliRunner().invoke(record, ["--out", str(tmp_path / "x.csv"), *arguments], catch_exceptions=False)
