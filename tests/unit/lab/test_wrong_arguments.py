"""A wrong argument of any command of the lab is one sentence, told before anything is built, sent or simulated."""

import pytest
from click.testing import CliRunner

from sentinel_api.errors import Invalid
from sentinel_cli.__main__ import sentinel

MISTAKES = [
    (("demo", "--pattern", "tidal"), "periodic"),
    (("demo", "--pattern", "cron:9"), "cron:0.5"),
    (("demo", "--pattern", "trace:nowhere.csv"), "nowhere.csv"),
    (("demo", "--seconds", "0"), "greater than zero"),
    (("demo", "--past", "-1"), "greater than zero"),
    (("demo", "--policy", "clairvoyant"), "static-small"),
    (("demo", "--nodes", "0"), "1 to 8"),
    (("demo", "--nodes", "3", "--policy", "static-small"), "--policy"),
    (("bench", "burst", "--seconds", "0"), "greater than zero"),
    (("bench", "burst", "--pattern", "tidal"), "periodic"),
    (("bench", "burst", "--policy", "clairvoyant"), "static-small"),
    (("bench", "burst", "--pattern", "mixed", "--pool", "0"), "give it more"),
    (("bench", "burst", "--round-trip", "-1"), "delay of -1 ms"),
    (("bench", "burst", "--traces", "nowhere"), "there is no trace at nowhere"),
    (("bench", "burst", "--add"), "--save FILE"),
    (("bench", "front", "--pattern", "tidal"), "periodic"),
    (("bench", "front", "--pattern", "trace:nowhere.csv"), "nowhere.csv"),
    (("bench", "front", "--sweep", "--pattern", "cron"), "leave --pattern out"),
    (("bench", "crossover", "--pattern", "tidal"), "periodic"),
    (("bench", "crossover", "--traces", "nowhere"), "nowhere holds no trace"),
    (("dataset", "record", "--out", "bursts.txt"), ".parquet or .csv"),
    (("dataset", "record", "--bursts", "0"), "at least 1"),
    (("dataset", "record", "--trace", "nowhere.csv"), "nowhere.csv"),
]


@pytest.mark.parametrize(("arguments", "says"), MISTAKES)
def test_a_wrong_argument_is_refused_in_a_sentence(arguments, says, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    refused = CliRunner().invoke(sentinel, arguments).exception
    assert isinstance(refused, Invalid)
    assert says in str(refused)
    assert "\n" not in str(refused)
    assert list(tmp_path.iterdir()) == []
